// Package chericapengine is the engine for native functions of Morello: plain
// AArch64 code that is confined by two capabilities.
//
// The code capability covers a function's code and allows to execute it, no
// more; the data capability covers its context and allows to load, to store and
// to load capabilities. Both have the context's start for a base, to which the
// function's addresses are relative: so it knows no other memory. It leaves
// through a sealed capability that the platform puts into a slot of its own, and
// there is no other way out: a system call is a fault. Code can't be written.
//
// It owns the choice of where things lie in a context, the limits of a run and
// the meaning of its end. Package loader reads the files, package capability is
// the model of capabilities, and package a64 runs code on any machine under that
// model: the software driver. A context comes from engine/domain; what it grows
// by is asked for when the function comes to it.
//
// Of the project it knows packages engine and data, and what is below them.
package chericapengine
