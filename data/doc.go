// Package data is the vocabulary that all of Pappus speaks: items, sets and
// digests, and the canonical encoding that makes a list of sets a string of
// bytes and back.
//
// It owns what an item and a set are, which names are legal, the order of
// items within a set, and format version 1 of the encoding. It knows nothing
// else of the project, and nothing of engines, storage or HTTP.
package data
