// Package connstest has servers that no good client expects, for tests of who uses
// connections.
package connstest
