// Package suggest finds what somebody meant who mistyped a name.
//
// It owns how far a name may be from another to be taken for it. It knows
// nothing of the project.
package suggest
