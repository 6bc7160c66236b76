package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of "go test -json", as "go doc test2json" describes it.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// test names one test or, with an empty name, its package as a whole.
type test struct{ pkg, name string }

type outcome int

// In the order of what they say: a test that ran twice has the later of its
// outcomes.
const (
	skipped outcome = iota
	passed
	failed
)

// A report gathers test events and writes what matters of them to out.
type report struct {
	out      io.Writer
	logs     bool // print also what tests that passed logged
	outcomes map[test]outcome
	output   map[test]*strings.Builder // of what has not ended yet
	broken   map[string]bool           // packages in which a test failed in the run under way
}

func newReport(out io.Writer, logs bool) *report {
	return &report{
		out:      out,
		logs:     logs,
		outcomes: make(map[test]outcome),
		output:   make(map[test]*strings.Builder),
		broken:   make(map[string]bool),
	}
}

// line takes one line of the stream. A line that is no event is passed on as
// it is: tools write their complaints between the events.
func (r *report) line(line []byte) error {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
		return r.print(string(line))
	}
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		return r.print(e.Output)
	case "output":
		b := r.output[t]
		if b == nil {
			b = new(strings.Builder)
			r.output[t] = b
		}
		b.WriteString(e.Output)
		return nil
	case "pass":
		return r.ended(t, passed, e.Elapsed)
	case "skip":
		return r.ended(t, skipped, e.Elapsed)
	case "fail":
		return r.ended(t, failed, e.Elapsed)
	default: // start, run, pause, cont, bench, attr, artifacts, build-fail
		return nil
	}
}

// ended notes how t went and forgets its output, after printing that of a
// failure.
func (r *report) ended(t test, how outcome, seconds float64) error {
	output := r.output[t]
	delete(r.output, t)
	if t.name == "" {
		return r.endedPackage(t.pkg, how, seconds, output)
	}
	if before, ran := r.outcomes[t]; !ran || how > before {
		r.outcomes[t] = how
	}
	text := indent(output)
	if how == failed {
		r.broken[t.pkg] = true
		return r.print(fmt.Sprintf("--- %s %s failed\n%s", t.pkg, t.name, text))
	}
	if r.logs && text != "" {
		return r.print(fmt.Sprintf("--- %s %s\n%s", t.pkg, t.name, text))
	}
	return nil
}

func (r *report) endedPackage(pkg string, how outcome, seconds float64, output *strings.Builder) error {
	switch how {
	case skipped:
		return nil // it has no tests
	case passed:
		return r.print(fmt.Sprintf("ok    %s %.1fs\n", pkg, seconds))
	}
	// What ran when the process died never ended: those tests failed, and
	// their output tells why.
	var unfinished []string
	for t, b := range r.output {
		if t.pkg == pkg {
			unfinished = append(unfinished, fmt.Sprintf("--- %s %s did not end\n%s", t.pkg, t.name, indent(b)))
			r.outcomes[t] = failed
			r.broken[pkg] = true
			delete(r.output, t)
		}
	}
	slices.Sort(unfinished)
	if !r.broken[pkg] {
		r.outcomes[test{pkg: pkg}] = failed
	}
	delete(r.broken, pkg)
	return r.print(fmt.Sprintf("%s%sFAIL  %s %.1fs\n", strings.Join(unfinished, ""), indent(output), pkg, seconds))
}

// end writes the last line and says whether all is well.
func (r *report) end() (bool, error) {
	var count [failed + 1]int
	for _, how := range r.outcomes {
		count[how]++
	}
	line := fmt.Sprintf("%d passed, %d failed", count[passed], count[failed])
	if count[skipped] > 0 {
		line += fmt.Sprintf(", %d skipped", count[skipped])
	}
	ok := count[failed] == 0 && count[passed] > 0
	return ok, r.print(line + "\n")
}

func (r *report) print(text string) error {
	if _, err := io.WriteString(r.out, text); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// indent returns the lines of b set off from the report's own, without those
// by which "go test" marks where a test starts, pauses and passes.
func indent(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		mark := strings.TrimLeft(line, " ")
		if strings.HasPrefix(mark, "=== ") || strings.HasPrefix(mark, "--- PASS") || strings.HasPrefix(mark, "--- SKIP") {
			continue
		}
		text.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return text.String()
}
