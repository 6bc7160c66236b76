// Package progress tells whoever waits for a long call how far it is.
//
// It owns when that is told and how a line is written over; it knows nothing
// else of the project. What is told it takes as it is: whoever has text of
// others makes it harmless first.
package progress
