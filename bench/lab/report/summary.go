package report

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"pappus/bench/lab/result"
)

// The part of a document that is generated stands between these lines, the first
// of which names the folders of the results: those of Pappus alone, and those of
// its peers.
var (
	region   = regexp.MustCompile(`(?s)<!-- measured: ?([^ \n]*) ?([^ \n]*) -->\n.*?<!-- /measured -->`)
	errPlace = errors.New("it has no line <!-- measured: … --> with a line <!-- /measured --> after it")
)

// Names are the folders that a document's summary is of, empty if it is of none
// yet.
func Names(document []byte) (platform, peers string, err error) {
	m := region.FindSubmatch(document)
	if m == nil {
		return "", "", errPlace
	}
	return string(m[1]), string(m[2]), nil
}

// Fill replaces a document's summary. Reading is given the folder's name and
// returns its results; folder is the path from the document to all of them.
func Fill(document []byte, platform, peers, folder string, read func(name string) (*result.Result, error)) ([]byte, error) {
	if !region.Match(document) {
		return nil, errPlace
	}
	text := "No results are published yet.\n"
	if platform != "" && peers != "" {
		alone, err := read(platform)
		if err != nil {
			return nil, err
		}
		beside, err := read(peers)
		if err != nil {
			return nil, err
		}
		if text, err = summary(alone, beside, path.Join(folder, platform), path.Join(folder, peers)); err != nil {
			return nil, err
		}
	}
	filled := fmt.Sprintf("<!-- measured: %s -->\n%s<!-- /measured -->", strings.TrimSpace(platform+" "+peers), text)
	at := region.FindIndex(document)
	return bytes.Join([][]byte{document[:at[0]], []byte(filled), document[at[1]:]}, nil), nil
}

// summary is a table of the peers with the largest matrix that all were asked
// for, and two figures.
func summary(alone, beside *result.Result, aloneFolder, besideFolder string) (string, error) {
	series := beside.Of("peers")
	if len(series) == 0 || len(series[0].Points) == 0 {
		return "", fmt.Errorf("%s: there are no peers in it", besideFolder)
	}
	rows := series[0].Points[0].X
	ours, ok := beside.Value("peers", "pappus", rows, "most_per_s")
	if !ok {
		return "", fmt.Errorf("%s: pappus is not among the peers", besideFolder)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "A function that multiplies a matrix of %s×%s integers, called over HTTP on loopback; every answer is checked. Measured on %s\n%s, commit %s, by `%s`; [all of it](%s):\n\n",
		number(rows), number(rows), beside.Began.UTC().Format("2 January 2006"), machine(beside), commit(beside), beside.Command, path.Join(besideFolder, File))
	columns := []column{
		{"most_per_s", "most, calls/s", one}, {"p50_us", "p50, ms", milli}, {"p99_us", "p99, ms", milli}, {"cold_us", "first call, ms", milli},
		{"cpu_s_per_1000", "processor s per 1,000", one}, {"running_mib", "MiB a running call", one}, {"idle_kib", "KiB an idle function", one},
	}
	b.WriteString("| | a call gets |")
	for _, c := range columns {
		b.WriteString(" " + c.head + " |")
		if c.value == "most_per_s" {
			b.WriteString(" ÷ pappus |")
		}
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|", len(columns)+1) + "\n")
	for _, s := range series {
		p := s.Points[0]
		fmt.Fprintf(&b, "| %s | %s |", s.Name, beside.Parameters["a call of "+s.Name+" gets"])
		for _, c := range columns {
			b.WriteString(" " + cell(p, c) + " |")
			if c.value == "most_per_s" {
				fmt.Fprintf(&b, " %.2f |", p.Values[c.value]/ours)
			}
		}
		if p.Invalid != "" {
			b.WriteString(" " + p.Invalid)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nLatencies are those at half of a peer's own most, counted from when a call was due.")
	for _, s := range beside.Skipped {
		fmt.Fprintf(&b, " Not measured: %s (%s).", s.Name, s.Reason)
	}
	fmt.Fprintf(&b, "\n\nThe paper's experiment: calls of which a part is cold, so that code comes from the disk first. Measured on %s by `%s`, commit %s; [all of it](%s):\n\n",
		alone.Began.UTC().Format("2 January 2006"), alone.Command, commit(alone), path.Join(aloneFolder, File))
	for _, file := range []string{"latency-p99.svg", "throughput.svg"} {
		fmt.Fprintf(&b, "![%s](%s)\n", titleOf(file), path.Join(aloneFolder, file))
	}
	return b.String(), nil
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
