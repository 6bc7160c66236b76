// Package browser holds the tests that need a real browser: that the page with
// the description shows it and asks nobody else, and that pages can call
// functions as the documents say, if their origin is allowed and not otherwise.
//
// It is a module of its own, because the product needs nothing of what drives a
// browser. It knows the project from outside: the program, and the documents.
package browser
