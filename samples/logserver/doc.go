// Command logserver hands out the files of a folder by HTTP on a free port of this
// machine, for the sample logcount_http. It prints where it listens, and ends at
// SIGINT or SIGTERM.
//
//	logserver FOLDER
//
// It knows nothing of the project.
package main
