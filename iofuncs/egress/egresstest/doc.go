// Package egresstest gives tests names that mean what they like, and a proxy. It knows
// nothing of the project.
package egresstest
