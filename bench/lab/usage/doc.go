// Package usage reads what a process and those that it started cost: memory, and
// time of the processors. It reads /proc, so that it works on Linux only.
//
// It knows nothing of the rest of the project.
package usage
