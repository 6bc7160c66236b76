// Package composition is the language in which applications of functions are
// written, and the graph that it means.
//
// It owns the two forms of the language (applications and scripts), their lexer,
// parser, checks and formatter, the graph into which both are turned, and its
// pictures. It knows signatures of functions by an interface, and neither the
// registry nor how a graph is run.
package composition
