// Package filelock has processes take turns by a lock on a file.
//
// It owns how such a lock is taken, waited for and given back, and that it ends
// with its process however that ends. It knows nothing else of the project.
package filelock
