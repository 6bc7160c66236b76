// Package engine is the contract between the platform and whatever executes
// functions: the Engine and Program interfaces, signatures, limits, faults
// and usage.
//
// It owns what a function's limits and signature are, how a run can fail, and
// what a manifest says. It knows package data and nothing else of the
// project: no engine, no dispatcher, no HTTP. Package enginetest beside it is
// the suite that every engine passes.
package engine
