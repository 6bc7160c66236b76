// Package peer has those that Pappus is measured beside, each behind one small
// interface: it starts a server that does the work of samples/matmul-size when it
// is called over HTTP, or says why it can't here.
//
// What a peer isolates, and what it does not, is part of what it says, since
// that is what its speed is to be weighed against.
package peer
