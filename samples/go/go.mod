module pappus/samples/go

go 1.24

require (
	github.com/yuin/goldmark v1.8.7
	pappus/sdk/go v0.0.0
)

replace pappus/sdk/go => ../../sdk/go
