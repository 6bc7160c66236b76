// Package multiparts reads multipart bodies to their closing boundary.
//
// It owns what the end of such a body is: a body that stops anywhere else was cut
// off. It knows nothing else of the project.
package multiparts
