// Package api is the documents of the HTTP API that the server writes through
// encoding/json: functions, pages of them, and problems.
//
// It is generated from the API description, in which the types of packages
// data and engine stand for what they write themselves. The answers of
// invocations are written by hand in package server, without an allocation.
package api

//go:generate ../../bin/oapi-codegen -config oapi-codegen.yaml -o api.gen.go ../openapi.yaml
