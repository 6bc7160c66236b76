package report

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"pappus/bench/lab/result"
)

// Parts of a document that are generated stand between such lines, the first of
// which names the folders of the results: those of Pappus alone and those of its
// peers, and those of the languages.
var (
	measured  = regexp.MustCompile(`(?s)<!-- measured: ?([^ \n]*) ?([^ \n]*) -->\n.*?<!-- /measured -->`)
	languages = regexp.MustCompile(`(?s)<!-- languages: ?([^ \n]*) -->\n.*?<!-- /languages -->`)
	image     = regexp.MustCompile(`!\[[^\]\n]*\]\(([^)\n]*)\)`)
	errPlace  = errors.New("it has no line <!-- measured: … --> with a line <!-- /measured --> after it, or none of languages")
)

// Names are the folders that a document's summaries are of, empty where there are
// none yet.
type Names struct{ Platform, Peers, Languages string }

// NamesIn are those that a document names.
func NamesIn(document []byte) (Names, error) {
	m, l := measured.FindSubmatch(document), languages.FindSubmatch(document)
	if m == nil || l == nil {
		return Names{}, errPlace
	}
	return Names{string(m[1]), string(m[2]), string(l[1])}, nil
}

// summarised are the figures of Pappus alone that a summary shows.
func summarised() []string { return []string{"latency-p99.svg", "throughput.svg"} }

var errPartial = errors.New("it does not have all that a summary needs")

// Whole is an error that says what the results of a set lack that a summary needs:
// a run of some of its experiments lacks the others.
func Whole(set string, r *result.Result) error {
	switch set {
	case "pappus":
		for _, file := range summarised() {
			if !hasFigure(r, file) {
				return fmt.Errorf("%w: no values for the figure %s", errPartial, file)
			}
		}
	case "peers":
		series := r.Of("peers")
		if len(series) == 0 || len(series[0].Points) == 0 {
			return fmt.Errorf("%w: there are no peers in it", errPartial)
		}
		if _, ok := r.Value("peers", "pappus", series[0].Points[0].X, "most_per_s"); !ok {
			return fmt.Errorf("%w: pappus is not among the peers", errPartial)
		}
		for _, s := range series {
			if len(s.Points) == 0 {
				return fmt.Errorf("%w: the peer %s has no figures", errPartial, s.Name)
			}
		}
	case "languages":
		series := r.Of("languages")
		if len(series) == 0 {
			return fmt.Errorf("%w: there are no languages in it", errPartial)
		}
		for _, s := range series {
			if len(s.Points) == 0 {
				return fmt.Errorf("%w: %s has no figures", errPartial, s.Name)
			}
		}
	}
	return nil
}

// hasFigure tells whether a report of the results has a figure.
func hasFigure(r *result.Result, file string) bool {
	for _, s := range sections() {
		for _, f := range s.figures {
			if f.file == file && f.drawn(f.lines(r.Of(s.experiment))) {
				return true
			}
		}
	}
	return false
}

// Shown are the images below a folder that a document shows, by their paths from
// the document.
func Shown(document []byte, folder string) []string {
	var shown []string
	for _, m := range image.FindAllSubmatch(document, -1) {
		if name := string(m[1]); strings.HasPrefix(name, folder+"/") {
			shown = append(shown, name)
		}
	}
	return shown
}

const none = "No results are published yet.\n"

// Fill replaces a document's summaries. Reading is given the folder's name and
// returns its results; folder is the path from the document to all of them.
func Fill(document []byte, names Names, folder string, read func(name string) (*result.Result, error)) ([]byte, error) {
	if _, err := NamesIn(document); err != nil {
		return nil, err
	}
	text := none
	if names.Platform != "" && names.Peers != "" {
		alone, err := read(names.Platform)
		if err != nil {
			return nil, err
		}
		beside, err := read(names.Peers)
		if err != nil {
			return nil, err
		}
		if text, err = summary(alone, beside, path.Join(folder, names.Platform), path.Join(folder, names.Peers)); err != nil {
			return nil, err
		}
	} else {
		names.Platform, names.Peers = "", ""
	}
	document = replace(document, measured, fmt.Sprintf("<!-- measured: %s -->\n%s<!-- /measured -->", strings.TrimSpace(names.Platform+" "+names.Peers), text))
	text = languagesAlone()
	if names.Languages != "" {
		r, err := read(names.Languages)
		if err != nil {
			return nil, err
		}
		if text, err = languageTable(r, path.Join(folder, names.Languages)); err != nil {
			return nil, err
		}
	}
	return replace(document, languages, fmt.Sprintf("<!-- languages: %s -->\n%s<!-- /languages -->", names.Languages, text)), nil
}

func replace(document []byte, region *regexp.Regexp, text string) []byte {
	at := region.FindIndex(document)
	return bytes.Join([][]byte{document[:at[0]], []byte(text), document[at[1]:]}, nil)
}

// named are the languages as the README has them, with their names for "pappus
// new".
func named() [][2]string {
	return [][2]string{
		{"Go, the standard library included", "go"}, {"Rust", "rust"}, {"C on `sdk/c`", "c"}, {"C with a libc", "c-libc"},
		{"C++ on `sdk/c`", "c++"}, {"C++ with its library", "c++-libc"}, {"AssemblyScript", "assemblyscript"},
		{"JavaScript (goja)", "javascript"}, {"Lua (gopher-lua)", "lua"}, {"Starlark, Python's dialect", "starlark"},
	}
}

func titleOfLanguage(name string) string {
	for _, l := range named() {
		if l[1] == name {
			return l[0]
		}
	}
	return name
}

// languagesAlone is the table without figures.
func languagesAlone() string {
	var b strings.Builder
	b.WriteString("| language | `pappus new` |\n|---|---|\n")
	for _, l := range named() {
		fmt.Fprintf(&b, "| %s | `%s` |\n", l[0], l[1])
	}
	return b.String() + "\n" + none
}

// languageTable is a row for each language.
func languageTable(r *result.Result, folder string) (string, error) {
	if err := Whole("languages", r); err != nil {
		return "", fmt.Errorf("%s: %w", folder, err)
	}
	var b strings.Builder
	b.WriteString("| language | `pappus new` | module, KB | a call, ms | initialised in every call, ms |\n|---|---|--:|--:|--:|\n")
	for _, s := range r.Of("languages") {
		p := s.Points[0]
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", titleOfLanguage(s.Name), s.Name, number(p.X/1000),
			cell(p, column{"call_us", "", milli}), cell(p, column{"no_image_us", "", milli}))
	}
	fmt.Fprintf(&b, "\nMeasured on %s %s, commit %s, by `%s`; [all of it](%s).", r.Began.UTC().Format("2 January 2006"), machine(r), commit(r), r.Command, path.Join(folder, File))
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, " Not measured: %s (%s).", s.Name, s.Reason)
	}
	b.WriteString("\n")
	return b.String(), nil
}

// summary is a table of the peers with the largest matrix that all were asked
// for, and two figures.
func summary(alone, beside *result.Result, aloneFolder, besideFolder string) (string, error) {
	if err := Whole("pappus", alone); err != nil {
		return "", fmt.Errorf("%s: %w", aloneFolder, err)
	}
	if err := Whole("peers", beside); err != nil {
		return "", fmt.Errorf("%s: %w", besideFolder, err)
	}
	series := beside.Of("peers")
	rows := series[0].Points[0].X
	ours, _ := beside.Value("peers", "pappus", rows, "most_per_s")
	least := series[0].Points[len(series[0].Points)-1].X
	oursOfLeast, small := beside.Value("peers", "pappus", least, "most_per_s")
	small = small && least < rows
	work := ""
	if small {
		work = fmt.Sprintf(", and one of %s×%[1]s, which shows what a call costs beside its work", number(least))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "A function that multiplies a matrix of %s×%[1]s integers%s, called over HTTP on loopback; every answer is checked. Measured on %s\n%s, commit %s, by `%s`; [all of it](%s):\n\n",
		number(rows), work, beside.Began.UTC().Format("2 January 2006"), machine(beside), commit(beside), beside.Command, path.Join(besideFolder, File))
	columns := []column{
		{"most_per_s", "most, calls/s", one}, {"p50_us", "p50, ms", milli}, {"p99_us", "p99, ms", milli}, {"cold_us", "first call, ms", milli},
		{"cpu_s_per_1000", "processor s per 1,000", one}, {"running_mib", "MiB a running call", one}, {"idle_kib", "KiB an idle function", one},
	}
	b.WriteString("| | a call gets |")
	for _, c := range columns {
		b.WriteString(" " + c.head + " |")
		if c.value == "most_per_s" {
			b.WriteString(" ÷ pappus |")
			if small {
				fmt.Fprintf(&b, " of %s×%[1]s, calls/s | ÷ pappus |", number(least))
			}
		}
	}
	numbers := len(columns) + 1
	if small {
		numbers += 2
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|", numbers) + "\n")
	for _, s := range series {
		p := s.Points[0]
		fmt.Fprintf(&b, "| %s | %s |", s.Name, strings.Join(nonEmpty(beside.Parameters["a call of "+s.Name+" gets"], invalid(p)), "; "))
		for _, c := range columns {
			b.WriteString(" " + cell(p, c) + " |")
			if c.value == "most_per_s" {
				fmt.Fprintf(&b, " %s |", ratio(p.Values[c.value]/ours))
				if most, ok := beside.Value("peers", s.Name, least, c.value); small && ok {
					fmt.Fprintf(&b, " %s | %s |", number(most), ratio(most/oursOfLeast))
				} else if small {
					b.WriteString(" – | – |")
				}
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\nLatencies are those at half of a peer's own most, counted from when a call was due.")
	if how := beside.Parameters["memory of a call"]; how != "" {
		fmt.Fprintf(&b, " *MiB a running call* is not of %s×%[1]s: it is what a call adds to the memory that the server had before, %s. "+
			"Pages that a server kept from earlier calls are not in it, so that it can be less than the matrices take.", number(rows), how)
	}
	for _, s := range beside.Skipped {
		fmt.Fprintf(&b, " Not measured: %s (%s).", s.Name, s.Reason)
	}
	fmt.Fprintf(&b, "\n\nThe paper's experiment: calls of which a part is cold, so that code comes from the disk first. Measured on %s by `%s`, commit %s; [all of it](%s):\n\n",
		alone.Began.UTC().Format("2 January 2006"), alone.Command, commit(alone), path.Join(aloneFolder, File))
	for _, file := range summarised() {
		fmt.Fprintf(&b, "![%s](%s)\n", titleOf(file), path.Join(aloneFolder, file))
	}
	return b.String(), nil
}

// ratio has two digits after the point, and more of one that would be nothing.
func ratio(r float64) string {
	if r < 0.01 {
		return fmt.Sprintf("%.4f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

// invalid says of a point that it is no measurement of what was asked for.
func invalid(p result.Point) string {
	if p.Invalid == "" {
		return ""
	}
	return "**not valid: " + p.Invalid + "**"
}

func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

func titleOf(file string) string {
	for _, s := range sections() {
		for _, f := range s.figures {
			if f.file == file {
				return f.Title
			}
		}
	}
	return file
}
