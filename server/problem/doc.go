// Package problem is the catalogue of everything that can go wrong for a
// client: one table of codes, each with its HTTP status, a title, what it
// means and what to do. The problem documents that the server answers
// (RFC 9457, application/problem+json), the pages under /errors, docs/errors.md
// and the enumeration in the API description are all made from that table or
// held to it by tests.
//
// It may know engine, for the kinds of faults, and nothing of HTTP but status
// numbers.
package problem
