package suggest_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/internal/suggest"
)

func TestClosest(t *testing.T) {
	names := []string{"listen", "data", "max-body", "max-code", "memory-budget", "host", "origin", "log-level", "log-format"}
	for name, want := range map[string]string{
		"max-bdy":                "max-body",
		"max-coed":               "max-code",
		"MAX-BODY":               "max-body",
		"memory_budget":          "memory-budget",
		"memory-bugdet":          "memory-budget",
		"origins":                "origin",
		"loglevel":               "log-level",
		"listen":                 "listen",
		"port":                   "",
		"service-host":           "",
		"log":                    "",
		"":                       "",
		"x":                      "",
		strings.Repeat("a", 999): "",
	} {
		if got, ok := suggest.Closest(name, names); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t", name, got, ok)
		}
	}
	if got, ok := suggest.Closest("ab", nil); ok {
		t.Errorf("among nothing: %q", got)
	}
}

// What is found is one of the names, and a name finds itself.
func TestClosestIsOneOfThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching(`[a-z-]{1,12}`)).Draw(t, "names")
		name := rapid.String().Draw(t, "name")
		if got, ok := suggest.Closest(name, names); ok && !slices.Contains(names, got) || !ok && got != "" {
			t.Fatalf("%q, %t", got, ok)
		}
		if len(names) > 0 {
			if got, ok := suggest.Closest(names[0], names); !ok || got != names[0] {
				t.Fatalf("%q finds %q", names[0], got)
			}
		}
	})
}
