package experiment

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A Set is what one command measures.
type Set struct {
	Name        string
	Experiments []Experiment
	Optional    []string // experiments that are run only if they are named
	Environment []string // variables that say what is asked
	Parameters  func(Plan) map[string]string
}

// Sets are all that there are.
func Sets() []Set {
	return []Set{
		{Name: "pappus", Experiments: Platform(), Parameters: Plan.Parameters},
		{Name: "peers", Experiments: Peers(), Parameters: Plan.Parameters},
		{Name: "k6", Experiments: scripts(), Optional: []string{soak}, Environment: k6Settings(), Parameters: k6Parameters},
		{Name: "languages", Experiments: []Experiment{{"languages", (*Lab).languages}}, Parameters: languagesParameters},
	}
}

// Usual are the set's experiments without those that must be named.
func (s Set) Usual() []Experiment {
	return slices.DeleteFunc(slices.Clone(s.Experiments), func(e Experiment) bool { return slices.Contains(s.Optional, e.Name) })
}

// Given are those of the set's variables that the environment has, as a shell
// takes them before a command: with them it does the same again.
func (s Set) Given() string {
	var given strings.Builder
	for _, name := range s.Environment {
		if value := os.Getenv(name); value != "" {
			fmt.Fprintf(&given, "%s=%s ", name, quoted(value))
		}
	}
	return given.String()
}

// quoted is a text as a word of the shell.
func quoted(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func plain(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-/:,", r)
}
