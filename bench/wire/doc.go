// Package wire is an HTTP client that costs a measurement little: a connection
// with one request on it at a time, made of bytes beforehand, and of an answer
// it looks at the status and the length.
//
// It knows nothing of the rest of the project.
package wire
