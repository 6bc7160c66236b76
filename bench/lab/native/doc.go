// Package native is the work of matmul-size compiled by the system's C compiler
// and called in this process: without an isolate, what it takes is the limit of
// all that have one.
package native
