// Package client is a thin Go client of the HTTP API: functions, compositions,
// versions, tags and synchronous invocations.
//
// It owns the API as seen from outside: one method a route, bodies that are
// streamed in both directions, and the server's problems as the error type
// Problem. Requests and documents are those of package api below it, which is
// generated from the API description. Both know nothing else of the project, so
// that programs can use them without the platform.
package client
