// Package script has the files of the programs that make functions of scripts,
// for those who build functions. Each is a program in Go around an interpreter:
// javascript, lua and starlark. README.md says what scripts can do.
package script

import "embed"

// Files are all that the programs are built with, but package pappus.
//
//go:embed go.mod go.sum run/run.go run/check.go javascript/main.go javascript/main.js lua/main.go lua/main.lua starlark/main.go starlark/main.star
var Files embed.FS
