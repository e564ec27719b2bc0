module unpack

go 1.24

require pelton v0.0.0

// The SDK of this repository.
replace pelton => ../../../sdk/go
