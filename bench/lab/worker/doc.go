// Package worker serves the functions of a folder over HTTP in the ways that
// Pappus is compared with. POST /fN runs function N, whose file is N with an
// ending, with the body as its input; the file is read when the function is
// first called, so that a first call is a cold one.
//
// It is the server's side of package peer, in a process of its own.
package worker
