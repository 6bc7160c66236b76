// Package pappus starts the server that is measured, registers functions and
// compositions with it, and reads its metrics. It knows the HTTP API, and of the
// rest of the project the samples' files.
package pappus
