module pappus/samples/go

go 1.24

require pappus/sdk/go v0.0.0

replace pappus/sdk/go => ../../sdk/go
