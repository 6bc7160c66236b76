package suggest_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/internal/suggest"
)

func TestClosest(t *testing.T) {
	verbs := []string{"serve", "push", "invoke", "run", "ls", "inspect", "tag", "rm", "verify", "version"}
	for _, c := range []struct {
		name  string
		among []string
		want  string
	}{
		{"psh", verbs, "push"}, {"anme", []string{"cases", "name"}, "name"}, {"pusj", verbs, "push"}, {"Invoke", verbs, "invoke"}, {"sevre", verbs, "serve"},
		{"l", verbs, "ls"}, {"ver", verbs, "verify"}, {"insp", verbs, "inspect"}, {"rn", verbs, "run"},
		{"fly", verbs, ""}, {"", verbs, ""}, {"x", nil, ""}, {"deploy", verbs, ""},
		{"word-count", []string{"", "wordcount", "sum"}, "wordcount"}, {"wörtzahl", []string{"wortzahl"}, "wortzahl"},
		{"ab", []string{"ac", "ad"}, "ac"},
		{strings.Repeat("x", 300), []string{strings.Repeat("x", 299)}, ""}, {"x", []string{strings.Repeat("x", 1<<20)}, ""},
	} {
		if got, ok := suggest.Closest(c.name, c.among); got != c.want || ok != (c.want != "") {
			t.Errorf("%.20q: %q, %v, want %q", c.name, got, ok, c.want)
		}
	}
}

// What is closest is one of the names, and a name that is there is closest to
// itself.
func TestClosestIsOneOfThem(t *testing.T) {
	name := rapid.StringMatching(`[a-c]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		wanted, among := name.Draw(t, "name"), rapid.SliceOfN(name, 0, 8).Draw(t, "among")
		got, ok := suggest.Closest(wanted, among)
		if ok != slices.Contains(among, got) {
			t.Fatalf("%q of %q: %q, %v", wanted, among, got, ok)
		}
		if slices.Contains(among, wanted) && got != wanted {
			t.Fatalf("%q of %q: %q", wanted, among, got)
		}
	})
}

func FuzzClosest(f *testing.F) {
	f.Add("push", "pusch")
	f.Add("\xff\xfe", "ä\x00")
	f.Fuzz(func(t *testing.T, name, candidate string) {
		if got, ok := suggest.Closest(name, []string{candidate}); ok && got != candidate {
			t.Errorf("%q", got)
		}
	})
}
