package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"pappus/bench/lab/result"
)

func languagesParameters(p Plan) map[string]string {
	return map[string]string{
		"benchmark": strings.Join(languagesCommand(p), " "),
		"rounds":    fmt.Sprintf("%d, of which the median is given", p.Rounds),
	}
}

func languagesCommand(p Plan) []string {
	return []string{"go", "test", "./sdk", "-run", "^$", "-bench", "^BenchmarkLanguages$" + p.Languages, "-benchtime", p.BenchTime, "-count", strconv.Itoa(p.Rounds), "-timeout", "1h"}
}

// languages measures what "pappus new" makes in each language: the Go benchmark
// of that name.
func (l *Lab) languages(ctx context.Context, r *result.Result) error {
	command := languagesCommand(l.Plan)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = l.Setup.Root
	together(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	series, err := languagesOf(out)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	r.Series = append(r.Series, series...)
	for line := range strings.Lines(string(out)) {
		// A language whose tools are missing is told in a line of the benchmark's log.
		if _, missing, ok := strings.Cut(line, "_test.go:"); ok {
			_, missing, _ = strings.Cut(missing, ": ")
			r.Skipped = append(r.Skipped, result.Skipped{Name: "a language", Reason: strings.TrimSpace(missing)})
		}
	}
	return nil
}

var errBenchmark = errors.New("it is not what the benchmark prints")

// languagesOf reads the benchmark's output: of each language the module's size and
// medians of a call with and without an image.
func languagesOf(out []byte) ([]result.Series, error) {
	all := map[string]*rounds{}
	var names []string
	size := map[string]float64{}
	reader := benchfmt.NewReader(bytes.NewReader(out), "output")
	for reader.Scan() {
		b, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // a line of its log, or a setting
		}
		parts := strings.Split(strings.TrimPrefix(b.Name.String(), "*"), "/")
		if len(parts) < 3 || parts[0] != "Languages" {
			continue
		}
		// The number of processors stands behind the last part.
		name, how := parts[1], strings.TrimRight(parts[2], "-0123456789")
		value := map[string]string{"image": "call_us", "no-image": "no_image_us"}[how]
		took, timed := b.Value("sec/op")
		bytes, sized := b.Value("module")
		if value == "" || !timed || !sized {
			return nil, fmt.Errorf("%w: %s", errBenchmark, b.Name)
		}
		f := all[name]
		if f == nil {
			f = new(rounds)
			all[name], names = f, append(names, name)
		}
		f.note(value, 1e6*took)
		size[name] = bytes
	}
	if err := reader.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no language", errBenchmark)
	}
	var series []result.Series
	for _, name := range names {
		f := all[name]
		f.n = min(len(f.figures["call_us"]), len(f.figures["no_image_us"]))
		if f.n == 0 {
			return nil, fmt.Errorf("%w: %s has not both figures", errBenchmark, name)
		}
		series = append(series, result.Series{Experiment: "languages", Name: name, X: "bytes", Points: []result.Point{f.point(size[name])}})
	}
	return series, nil
}
