// Package suggest finds what somebody meant who misspelled a name.
//
// It owns the measure of likeness; it knows nothing else of the project.
package suggest
