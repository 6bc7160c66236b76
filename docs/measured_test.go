package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// figure is a time as only a measurement gives it: limits are whole milliseconds
	// and longer.
	figure = regexp.MustCompile(`\d ?(ns|µs)\b|\d[.,]\d+ ?(ms|s)\b|\*\*Measured\*\*|^Measured `)
	// settings are times that look like figures, and are what the project chose.
	settings = strings.NewReplacer("thousands wait that need 20 µs", "", "turns of 2.5 ms", "", "for 100 µs and as long", "", "make 100 µs", "", "5 ns for each byte", "",
		"after 0.3 s", "", "a chain takes 3.3 ms; in order of arrival it took 8.2\n  (`TestRunsTakeTurns`, whose time is virtual)", "")
	// command prints figures again; a text may say that none does.
	command = regexp.MustCompile("`[^`]*(go test|make bench|bin/|-bench |pappus dev)[^`]*`|[Nn]o command prints")
)

// Beside every figure that a page of a decision gives stands the command that prints
// it again, in the same part of the page, or that there is none.
func TestFiguresHaveCommands(t *testing.T) {
	found := 0
	eachFile(t, ".md", func(file, text string) {
		if filepath.Base(filepath.Dir(file)) != "decisions" {
			return
		}
		for _, part := range parts(text) {
			if !figure.MatchString(settings.Replace(part)) {
				continue
			}
			found++
			if !command.MatchString(part) {
				t.Errorf("%s: there are figures and no command that prints them:\n%.300s", file, part)
			}
		}
	})
	const minimum = 15
	if found < minimum {
		t.Errorf("%d parts with figures: are these the pages?", found)
	}
}

// parts of a page begin with a line that begins bold, or with a heading.
func parts(text string) []string {
	var all []string
	begin := 0
	for i := 0; i < len(text); {
		end := strings.IndexByte(text[i:], '\n')
		if end < 0 {
			break
		}
		next := i + end + 1
		if rest := text[next:]; strings.HasPrefix(rest, "**") || strings.HasPrefix(rest, "#") {
			all = append(all, text[begin:next])
			begin = next
		}
		i = next
	}
	return append(all, text[begin:])
}
