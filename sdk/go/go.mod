module pelton

go 1.24
