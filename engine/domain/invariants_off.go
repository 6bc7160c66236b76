//go:build !invariants

package domain

// invariantClean checks a sanitised region in builds with the tag invariants.
func (r *Region) invariantClean() {}
