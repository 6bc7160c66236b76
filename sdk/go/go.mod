module pappus/sdk/go

go 1.24
