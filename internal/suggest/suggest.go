package suggest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// longest is the length in bytes of the longest names that are compared:
// comparing takes the product of their lengths.
const longest = 256

// Closest returns the one of several names that is most like name, and whether
// any is like it at all: it differs by one character in three (rounded
// up) at most, whatever the case; or name is the beginning of it, of three
// characters or more. Of several that are equally like it, it is the first.
func Closest(name string, among []string) (string, bool) {
	if name == "" || len(name) > longest {
		return "", false
	}
	lower := strings.ToLower(name)
	best, least := "", (len(lower)+2)/3+1
	for _, candidate := range among {
		if candidate == "" || len(candidate) > longest {
			continue
		}
		if d := distance(lower, strings.ToLower(candidate), least); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance is the number of characters that differ, or any number that is not
// less than least.
func distance(name, candidate string, least int) int {
	const beginning = 3
	if len(name) >= beginning && name != candidate && strings.HasPrefix(candidate, name) {
		return 1
	}
	// Two lengths that differ can't be equal but by as many characters, each of
	// which has at most four bytes.
	if apart := len(name) - len(candidate); apart >= 4*least || apart <= -4*least {
		return least
	}
	return levenshtein.ComputeDistance(name, candidate)
}
