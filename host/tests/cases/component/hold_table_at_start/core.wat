(table 200000 funcref)
