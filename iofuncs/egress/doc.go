// Package egress decides where I/O functions may connect to, and is the only way
// by which they connect.
//
// It owns rules and their syntax, the addresses that nobody may reach unless an
// operator says so, and the dialer. A connection is judged by the address that the
// system is about to be handed, after every name has been looked up: what a name
// meant a moment ago is of no consequence. A proxy is told addresses that were judged. The package knows nothing of the
// project, nor of what is spoken over a connection.
package egress
