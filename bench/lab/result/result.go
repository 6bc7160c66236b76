package result

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Schema is the version of this form. A reader refuses others.
const Schema = 1

// File is the name of the document in its folder.
const File = "results.json"

// A Result is what one run of measurements brought.
type Result struct {
	Schema     int               `json:"schema"`
	Name       string            `json:"name"` // of the set of experiments
	Began      time.Time         `json:"began"`
	Partial    bool              `json:"partial,omitempty"` // of its experiments only some were asked for
	Seconds    float64           `json:"seconds"`           // that all of it took
	Command    string            `json:"command"`           // that does it again
	Commit     string            `json:"commit"`
	Modified   bool              `json:"modified,omitempty"` // the checkout differed from its commit
	Machine    Machine           `json:"machine"`
	Versions   map[string]string `json:"versions"`
	Parameters map[string]string `json:"parameters"`
	Series     []Series          `json:"series"`
	Skipped    []Skipped         `json:"skipped,omitempty"`
}

// A Machine is what it was measured on.
type Machine struct {
	OS     string  `json:"os"`
	Arch   string  `json:"arch"`
	Kernel string  `json:"kernel"`
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory int64   `json:"memory_bytes"`
	Load   float64 `json:"load_before"` // average of the minute before, by the system: work that ended in it counts
}

// A Series is one line of a plot, or rows of a table.
type Series struct {
	Experiment string  `json:"experiment"`
	Name       string  `json:"name"`
	X          string  `json:"x"` // what the points' X is, with its unit
	Points     []Point `json:"points"`
}

// A Point has values by name, the unit behind the name: p99_us, calls_per_s.
// Each is the median over the rounds.
type Point struct {
	X      float64            `json:"x"`
	Values map[string]float64 `json:"values"`
	Rounds int                `json:"rounds"`
	// Invalid says why the point is no measurement of what was asked for: calls
	// were dropped, or refused.
	Invalid string `json:"invalid,omitempty"`
}

// Skipped is what was not measured, and why.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Of is the series of an experiment, in the order in which they were measured.
func (r *Result) Of(experiment string) []Series {
	var of []Series
	for _, s := range r.Series {
		if s.Experiment == experiment {
			of = append(of, s)
		}
	}
	return of
}

// Value looks a number up: the named value at the first point of the series
// with that x.
func (r *Result) Value(experiment, series string, x float64, value string) (float64, bool) {
	for _, s := range r.Of(experiment) {
		if s.Name != series {
			continue
		}
		for _, p := range s.Points {
			if p.X == x {
				v, ok := p.Values[value]
				return v, ok
			}
		}
	}
	return 0, false
}

// Read reads the document of a folder.
func Read(folder string) (*Result, error) {
	name := filepath.Join(folder, File)
	document, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(document, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%s: of schema %d, not %d: measure again", name, r.Schema, Schema)
	}
	return r, nil
}
