//go:build !invariants && !race

// The suite needs no memory domain, and its scripts share nothing, so one run
// of it is enough.

package spectest

import (
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parts of the suite are those whose features the engine has. The first is all
// of WebAssembly 2.0, which contains the tests of 1.0.
var parts = []string{"v2", "extended-const", "tail-call"}

// covered is how many commands run, which is all but inText.
var covered = map[string]int{
	"module":                1_618,
	"register":              22,
	"action":                155,
	"assert_return":         45_860,
	"assert_trap":           2_420,
	"assert_exhaustion":     15,
	"assert_unlinkable":     83,
	"assert_uninstantiable": 34,
	"assert_malformed":      723,
	"assert_invalid":        2_207,
}

// inText is how many modules of the suite are in the text format, and malformed.
const inText = 1_105

// ofUs are the commands that wazero alone does not run: it accepts a few of
// these modules, since it lets constant expressions read any global.
var ofUs = []string{"assert_malformed", "assert_invalid"}

// tally counts commands of all scripts.
type tally struct {
	mu   sync.Mutex
	ran  map[string]map[string]int // by way and type
	text int                       // commands that are left out
}

// Every script of the suite has the results that it expects, whatever was made
// of its modules.
func TestSuite(t *testing.T) {
	root := suite(t)
	host, err := os.ReadFile(filepath.Join(root, "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	all := tally{ran: map[string]map[string]int{}}
	t.Cleanup(func() { all.check(t) })
	for _, part := range parts {
		files, err := filepath.Glob(filepath.Join(root, part, "testdata", "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d scripts of %s (%v)", len(files), part, err)
		}
		for _, file := range files {
			s := read(t, file)
			t.Run(part+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				var fuel []int64
				for _, w := range ways() {
					used := s.run(t, w, host, &all)
					if w.slice > 0 && fuel != nil && !slices.Equal(fuel, used) {
						t.Errorf("%s: other fuel", w.name)
					}
					if w.slice > 0 {
						fuel = used
					}
				}
			})
		}
	}
}

// add counts a command and tells whether it runs.
func (a *tally) add(w way, c *command) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.ModuleType == "text" {
		a.text++
		return false
	}
	if w.control && slices.Contains(ofUs, c.Type) {
		return false
	}
	if a.ran[w.name] == nil {
		a.ran[w.name] = map[string]int{}
	}
	a.ran[w.name][c.Type]++
	return true
}

// check wants every way to have run all that is covered, unless the tests to
// run were chosen one by one.
func (a *tally) check(t *testing.T) {
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return
	}
	for _, w := range ways() {
		want := maps.Clone(covered)
		if w.control {
			for _, kind := range ofUs {
				delete(want, kind)
			}
		}
		if !maps.Equal(a.ran[w.name], want) {
			t.Errorf("%s: ran %v, want %v", w.name, a.ran[w.name], want)
		}
	}
	if want := inText * len(ways()); a.text != want {
		t.Errorf("%d modules in the text format, want %d", a.text, want)
	}
}

// run runs a script and tells what its calls used.
func (s script) run(t *testing.T, w way, host []byte, all *tally) []int64 {
	t.Helper()
	ctx := context.Background()
	world, err := newWorld(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := world.runtime.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	m, compiled, err := world.compile(ctx, host)
	if err != nil {
		t.Fatal(err)
	}
	i, err := world.instantiate(ctx, m, compiled)
	if err != nil {
		t.Fatal(err)
	}
	world.registered["spectest"] = i.Module
	p := &play{world: world, script: s, named: map[string]*instance{}}
	for n := range s.commands {
		c := &s.commands[n]
		if !all.add(w, c) {
			continue
		}
		if err := p.step(ctx, c); err != nil {
			t.Errorf("line %d, %s, %s: %v", c.Line, w.name, c.Type, err)
		}
	}
	return p.fuel
}
