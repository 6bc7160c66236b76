// Package egresstest gives tests names that mean what they like. It knows nothing
// of the project.
package egresstest
