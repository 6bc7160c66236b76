// Package hammer has a test that hammers a dispatcher over a wasm engine and a
// registry: many callers, many functions, room for a few.
//
// It owns that test and nothing else: what it finds is a defect of the parts or
// of how they work together. Its tests may know all of these parts.
package hammer
