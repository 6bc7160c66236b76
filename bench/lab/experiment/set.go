package experiment

import (
	"slices"
)

// A Set is what one command measures.
type Set struct {
	Name        string
	Experiments []Experiment
	Optional    []string // experiments that are run only if they are named
	Parameters  func(Plan) map[string]string
}

// Sets are all that there are.
func Sets() []Set {
	return []Set{
		{Name: "pappus", Experiments: Platform(), Parameters: Plan.Parameters},
		{Name: "peers", Experiments: Peers(), Parameters: Plan.Parameters},
		{Name: "k6", Experiments: scripts(), Optional: []string{soak}, Parameters: k6Parameters},
		{Name: "languages", Experiments: []Experiment{{"languages", (*Lab).languages}}, Parameters: languagesParameters},
	}
}

// Usual are the set's experiments without those that must be named.
func (s Set) Usual() []Experiment {
	return slices.DeleteFunc(slices.Clone(s.Experiments), func(e Experiment) bool { return slices.Contains(s.Optional, e.Name) })
}
