// Package settings reads the configuration of a server from the places where
// an operator can write it: flags of the command line, variables of the
// environment, and a file in YAML. The stronger place wins, setting by setting,
// in this order; what nobody sets has its default.
//
// It owns the names of settings, the syntax of their values and of the file,
// where each value came from, what is said about mistakes, and how a
// configuration is shown so that it can be read again. The same parser reads a
// value wherever it stands, so that all places say the same. It knows no
// setting: those are bound to the fields of a configuration where that is
// wired. A Set and what belongs to it is for one goroutine.
package settings
