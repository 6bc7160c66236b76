// Package httpio has the I/O functions that speak HTTP: HTTP, and system_HTTPGet.
//
// It owns the form of their items, how a request is made and made again, how far
// redirects are followed, and what a server may take of time and memory. All that it
// sends and all that comes back is hostile: the first is a function's, the second a
// stranger's. Where connections may go is package egress's; that the package has each
// connection made there is all it knows of it.
package httpio
