// Package iofuncs is the seam for I/O functions: trusted code of the platform
// that talks to the world for compute functions, which can't.
//
// It owns what an I/O function is, how it says that it failed, and the list of
// those that a server has. It knows package data only: who calls them, when, how
// many at once and what becomes of their outputs is package dispatcher's.
//
// # Adding one
//
// Write a type that implements Function, and put it into the list that cmd/pappus
// gives to NewRegistry. Example shows a whole one. Its Call is handed the inputs
// of one instance; it returns the output sets, or an *Error, and tells by
// Request.Note what it had others do. It may be called from many goroutines. What
// else it has to keep to is said at Function.
package iofuncs
