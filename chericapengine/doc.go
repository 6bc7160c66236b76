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
// by is asked for when the function comes to it. A fault of the software driver tells the
// function's calls, by the names and the lines that are in its file.
//
// # The native driver
//
// On Morello under Linux the processor can run functions itself, if Config.Native asks
// for it: as processes that share the engine's memory, in the Restricted state, with
// Linux told to refuse them every system call but the one to end.
//
// It has never run on hardware. What has been run: the words that enter and leave a
// function and the probe for capabilities, in the software driver; the process that
// looks for capabilities, as far as the first instruction that other processors don't
// have, on an emulated AArch64. What has never run: the self-test, through which the
// driver must come at every start or be refused; a function in such a process; what
// Linux for Morello reports of faults, which was read up on; the mapping of code.
//
// It differs: a fault has no calls; fuel is not counted, so that functions with a limit of it run in software;
// a context is charged with its limit; a function that reads its capabilities sees
// where its context is; an access below address 0 is taken for the stack's end.
//
// Of the project it knows packages engine and data, and what is below them.
package chericapengine
