// Package target makes the calls of a load over HTTP, and checks every answer.
//
// It knows how matmul-size is asked, which all that is measured serves, and
// nothing of who serves it.
package target
