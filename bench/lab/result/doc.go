// Package result is the form in which measurements are kept: a JSON document
// that says what was measured where, when, of what and how, and the points that
// plots and tables are made of.
//
// It owns the schema, and that a folder of results is there whole or not at
// all. It knows nothing of the rest of the project.
package result
