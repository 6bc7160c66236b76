// Package conns makes connections to servers of HTTP/1.1 that nobody trusts safe to
// use again, and to close.
//
// It owns when a connection may be used for another request, and that no server can
// keep the transport of the standard library from closing one. It knows TLS and how
// that transport uses connections, and nothing of the project: where connections go is
// for those to say who dial them.
package conns
