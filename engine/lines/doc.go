// Package lines finds the lines of source code that a function's code, of
// whatever machine, was made of, in the line tables that compilers leave (DWARF 2 to 5).
//
// It owns how such tables are read, in time and memory that follow from their
// size, whatever is in them: the standard library's reader takes the square of
// it for tables that were made for that; and how many are read at once. It knows
// nothing else of the project.
package lines
