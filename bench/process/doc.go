// Package process starts servers that are measured, each a process that prints
// "listening on http://ADDRESS" when it takes requests, and ends them.
//
// It knows nothing of the rest of the project.
package process
