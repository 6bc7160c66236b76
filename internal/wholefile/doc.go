// Package wholefile gives files other content as a whole.
//
// It owns that whoever reads such a file sees the old content or the new one,
// whatever ends the process, and that a file stays where links lead to it. It
// knows nothing else of the project.
package wholefile
