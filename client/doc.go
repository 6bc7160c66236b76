// Package client is a thin Go client of the HTTP API: functions, versions,
// tags and synchronous invocations.
//
// It owns the API as seen from outside: one method a route, bodies that are
// streamed in both directions, and the server's problems as the error type
// Problem. It knows nothing else of the project, so that programs can use it
// without the platform, and so that it notices when the API changes.
package client
