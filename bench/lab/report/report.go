package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pappus/bench/lab/result"
)

// File is the name of the report in the folder of the results.
const File = "report.md"

// Of makes the files of a report: the text and its figures, by name.
func Of(r *result.Result) (map[string][]byte, error) {
	files := map[string][]byte{}
	var b strings.Builder
	fmt.Fprintf(&b, "# Measurements: %s\n\n", r.Name)
	header(&b, r)
	for _, s := range sections() {
		series := r.Of(s.experiment)
		if len(series) == 0 {
			continue
		}
		if s.title != "" {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.title, s.text)
		}
		for _, f := range s.figures {
			f.Lines = f.lines(series)
			if !f.drawn(f.Lines) {
				continue // of so few calls there is no such figure
			}
			svg, err := f.SVG()
			if err != nil {
				return nil, err
			}
			files[f.file] = svg
			fmt.Fprintf(&b, "\n![%s](%s)\n", f.Title, f.file)
		}
		table(&b, s.columns, series)
		if s.base != "" {
			ratios(&b, s.base, series)
		}
	}
	if len(r.Skipped) > 0 {
		b.WriteString("\n## Not measured\n\n")
		for _, s := range r.Skipped {
			fmt.Fprintf(&b, "* %s: %s\n", s.Name, s.Reason)
		}
	}
	b.WriteString("\n## Settings\n\n")
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		fmt.Fprintf(&b, "* %s: %s\n", name, r.Parameters[name])
	}
	files[File] = []byte(b.String())
	return files, nil
}

// header says what was measured where, when and how.
func header(b *strings.Builder, r *result.Result) {
	fmt.Fprintf(b, "%s, %s.\n\n", r.Began.UTC().Format("2 January 2006, 15:04 UTC"), machine(r))
	fmt.Fprintf(b, "* command: `%s`, which took %s min\n* commit: %s\n", r.Command, number(r.Seconds/60), commit(r))
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(b, "* %s: %s\n", name, r.Versions[name])
	}
	fmt.Fprintf(b, "* load average of the minute before, on %d processors: %.2f; work that ended in that minute is in it, another run's too\n\n", r.Machine.Cores, r.Machine.Load)
	b.WriteString(gathered(r) + " All numbers come from `" + result.File + "` beside this report.\n")
}

// gathered says what a figure is.
func gathered(r *result.Result) string {
	all := func(experiment string) bool { return len(r.Series) > 0 && len(r.Of(experiment)) == len(r.Series) }
	switch {
	case all("k6"):
		return "Figures are of one run of each script, one script after another. Client and servers share the machine."
	case all("languages"):
		return "Figures are medians of the runs of a benchmark, one benchmark after another."
	}
	return "Figures are medians of rounds in which all that is compared takes turns. Client and servers share the machine."
}

func machine(r *result.Result) string {
	m := r.Machine
	return fmt.Sprintf("on a machine with %d processors (%s, %s/%s, %s) and %s GiB of memory", m.Cores, m.CPU, m.OS, m.Arch, m.Kernel, number(float64(m.Memory)/(1<<30)))
}

func commit(r *result.Result) string {
	if r.Modified {
		return r.Commit + ", modified"
	}
	return r.Commit
}

// table of all points.
func table(b *strings.Builder, columns []column, series []result.Series) {
	// A column that no point has is left out.
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(series, func(s result.Series) bool {
			return slices.ContainsFunc(s.Points, func(p result.Point) bool { _, ok := p.Values[c.value]; return ok })
		})
	})
	if len(columns) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| | %s |", series[0].X)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.head)
	}
	b.WriteString(" |\n|---|--:|" + strings.Repeat("--:|", len(columns)) + "---|\n")
	for _, s := range series {
		for _, p := range s.Points {
			fmt.Fprintf(b, "| %s | %s |", s.Name, number(p.X))
			for _, c := range columns {
				fmt.Fprintf(b, " %s |", cell(p, c))
			}
			fmt.Fprintf(b, " %s |\n", p.Invalid)
		}
	}
}

// ratios are the 99th percentiles of the series' first points in parts of that of
// one of them.
func ratios(b *strings.Builder, base string, series []result.Series) {
	at := slices.IndexFunc(series, func(s result.Series) bool { return s.Name == base })
	if at < 0 || len(series[at].Points) == 0 || series[at].Points[0].Values["p99_us"] <= 0 {
		return
	}
	of := series[at].Points[0].Values["p99_us"]
	b.WriteString("\np99 ÷ that of " + base + ":")
	separator := " "
	for _, s := range series {
		if s.Name == base || len(s.Points) == 0 {
			continue
		}
		if v, ok := s.Points[0].Values["p99_us"]; ok {
			fmt.Fprintf(b, "%s%s %.2f", separator, s.Name, v/of)
			separator = ", "
		}
	}
	b.WriteString(".\n")
}

func cell(p result.Point, c column) string {
	v, ok := p.Values[c.value]
	if !ok {
		return "–"
	}
	return number(v * c.scale)
}

// number in three digits or more.
func number(v float64) string {
	digits := 0
	for limit := 100.0; digits < 3 && v < limit && v > -limit; limit /= 10 {
		digits++
	}
	if v == float64(int64(v)) && v < 1e15 && v > -1e15 {
		digits = 0
	}
	return thousands(strconv.FormatFloat(v, 'f', digits, 64))
}

// thousands are set apart in numbers of five digits and more.
func thousands(s string) string {
	whole, rest, _ := strings.Cut(s, ".")
	if len(strings.TrimPrefix(whole, "-")) < 5 {
		return s
	}
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}
