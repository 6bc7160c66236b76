package wasmengine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/samples"
)

// sampleCase is a case folder of samples/README.md.
type sampleCase struct {
	Keys struct {
		In, Out map[string]uint32 // by "SET/ITEM"
	}
	Limits   engine.Limits
	ExitCode int32 `json:"exit_code"`
	Fault    engine.FaultKind
}

func readCase(t *testing.T, dir string) sampleCase {
	t.Helper()
	var c sampleCase
	text, err := fs.ReadFile(samples.Files(), path.Join(dir, "case.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.ExitCode != 0 {
		c.Fault = engine.FaultExit
	}
	return c
}

// readSets reads the folder "in" or "out" of a case as the sets of params.
func readSets(t *testing.T, dir string, params []engine.Param, keys map[string]uint32) []data.Set {
	t.Helper()
	sets := make([]data.Set, len(params))
	for i, p := range params {
		sets[i].Name = p.Name
	}
	err := fs.WalkDir(samples.Files(), dir, func(file string, d fs.DirEntry, err error) error {
		if file == dir && errors.Is(err, fs.ErrNotExist) {
			return nil // a case without items has no folder
		}
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(file, dir+"/")
		set, item, _ := strings.Cut(name, "/")
		content, err := fs.ReadFile(samples.Files(), file)
		for i := range sets {
			if sets[i].Name == set {
				sets[i].Items = append(sets[i].Items, data.NewItem(item, keys[name], content))
				return err
			}
		}
		t.Errorf("%s: the function has no set %s", file, set)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		s.Order()
	}
	return sets
}

// TestSamples runs every case of every sample, twice and on short slices too:
// each time it must give what the case folder says, and use the same fuel.
func TestSamples(t *testing.T) {
	dirs, err := fs.Glob(samples.Files(), "*/cases/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	engines := map[string]*Engine{"default slices": newEngine(t, Config{}), "short slices": newEngine(t, Config{Slice: 1009})}
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			sample := strings.SplitN(dir, "/", 2)[0]
			code, err := fs.ReadFile(samples.Files(), path.Join(sample, sample+".wasm"))
			if err != nil {
				t.Fatal(err)
			}
			fuel := map[int64]string{}
			for name, e := range engines {
				fuel[runCase(t, e, code, dir)] = name
				fuel[runCase(t, e, code, dir)] = name + ", again"
			}
			if len(fuel) != 1 {
				t.Errorf("the fuel differs: %v", fuel)
			}
		})
	}
}

// runCase runs a case once and returns the fuel that was used.
func runCase(t *testing.T, e *Engine, code []byte, dir string) int64 {
	t.Helper()
	c := readCase(t, dir)
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	sig, limits := insp.Manifest.Signature(), c.Limits.Or(insp.Manifest.Limits).Or(engine.DefaultLimits())
	program, err := e.Prepare(t.Context(), code, sig, limits)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := program.Close(); err != nil {
			t.Error(err)
		}
	}()
	result, err := program.Run(t.Context(), readSets(t, path.Join(dir, "in"), sig.Inputs, c.Keys.In), limits)
	if c.Fault != "" {
		var fault *engine.Fault
		if !errors.As(err, &fault) || fault.Kind != c.Fault || (c.ExitCode != 0 && fault.ExitCode != c.ExitCode) {
			t.Fatalf("error %v instead of %s with exit code %d", err, c.Fault, c.ExitCode)
		}
		return fault.Usage.Fuel
	}
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	if want := readSets(t, path.Join(dir, "out"), sig.Outputs, c.Keys.Out); !data.Equal(result.Outputs, want) {
		t.Errorf("outputs:\n%q\ninstead of:\n%q", contents(result.Outputs), contents(want))
	}
	return result.Usage.Fuel
}

// contents shows sets, shortened.
func contents(sets []data.Set) (shown []string) {
	for _, s := range sets {
		for _, it := range s.Items {
			shown = append(shown, fmt.Sprintf("%s/%s@%d %.200s", s.Name, it.Name(), it.Key(), it.Bytes()))
		}
	}
	return shown
}
