// Package imports holds the table of what may import what, and the test that
// compares it with the source. There is nothing else in it, and nothing
// imports it.
package imports
