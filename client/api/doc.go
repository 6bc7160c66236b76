// Package api is the HTTP API as the API description has it: its documents as
// types, and a client that sends requests and hands out answers as they come.
//
// It is generated from server/openapi.yaml, but for Param, which is a name or
// an object and so beyond what a generator makes pleasant. It knows nothing
// else of the project. Programs use package client, which is made of it.
package api

//go:generate ../../bin/oapi-codegen -config oapi-codegen.yaml -o api.gen.go ../../server/openapi.yaml
