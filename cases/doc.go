// Package cases reads case folders, runs functions on them, and says where
// what came differs from what should have.
//
// It owns the form of a case folder (samples/README.md describes it) and what
// it means that two runs are the same. It knows packages data and engine, and
// nothing else of the project: which engine runs a case is the caller's choice.
package cases
