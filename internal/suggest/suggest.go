package suggest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// longest is the length in bytes beyond which no name is compared: comparing
// takes time in proportion to it, and nobody mistypes that much.
const longest = 100

// Closest is the one of among that name was probably meant to be: the one with
// the fewest letters added, left out or replaced, if these are at most a third
// of the longer of both. Case does not count. Of several that are as close, the
// first is taken. It reports false if none is close.
func Closest(name string, among []string) (string, bool) {
	if name == "" || len(name) > longest {
		return "", false
	}
	name = strings.ToLower(name)
	best, found := 0, ""
	for _, other := range among {
		distance := levenshtein.ComputeDistance(name, strings.ToLower(other))
		if 3*distance > max(len(name), len(other)) || found != "" && distance >= best {
			continue
		}
		best, found = distance, other
	}
	return found, found != ""
}
