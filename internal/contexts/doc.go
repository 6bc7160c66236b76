// Package contexts keeps the servers that a user works with, each under a
// name, in a file of the user's configuration.
//
// It owns the file: its form, how it is read and changed by several programs
// at once. It knows of the project only how processes take turns, and calls no
// server.
package contexts
