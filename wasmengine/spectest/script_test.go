package spectest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"pappus/wasmengine/binary"
)

// command is one step of a script, as wast2json writes it.
type command struct {
	Type       string  `json:"type"`
	Line       int     `json:"line"`
	Name       string  `json:"name"`
	As         string  `json:"as"`
	Filename   string  `json:"filename"`
	ModuleType string  `json:"module_type"` // "text" or "binary"
	Text       string  `json:"text"`        // the error that the suite expects
	Action     action  `json:"action"`
	Expected   []value `json:"expected"`
}

type action struct {
	Type   string  `json:"type"` // "invoke" or "get"
	Module string  `json:"module"`
	Field  string  `json:"field"`
	Args   []value `json:"args"`
}

// suite is the folder of the pinned wazero module with the scripts.
func suite(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("find the module that ships the suite: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

// script is one file of the suite.
type script struct {
	name     string
	dir      string
	commands []command
}

func read(t *testing.T, file string) script {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := script{name: strings.TrimSuffix(filepath.Base(file), ".json"), dir: filepath.Dir(file)}
	var content struct {
		Commands []command `json:"commands"`
	}
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s.commands = content.Commands
	return s
}

// play is a script that is under way in a world.
type play struct {
	*world
	script
	named   map[string]*instance
	current *instance
	fuel    []int64 // used by the calls that ended, those that overflowed the stack left out
}

// step runs a command and tells in what it is not as the suite wants it.
func (p *play) step(ctx context.Context, c *command) error {
	switch c.Type {
	case "module":
		return p.module(ctx, c)
	case "register":
		i := p.instance(c.Name)
		if i == nil {
			return errors.New("there is no such module")
		}
		p.registered[c.As] = i.Module
		return nil
	case "action", "assert_return":
		return p.returns(ctx, c)
	case "assert_trap":
		_, err := p.act(ctx, &c.Action)
		return sameTrap(err, c.Text)
	case "assert_exhaustion":
		_, err := p.act(ctx, &c.Action)
		return p.exhaustion(err)
	case "assert_malformed", "assert_invalid":
		_, compiled, err := p.load(ctx, c)
		if err == nil {
			return errors.Join(errors.New("it was accepted"), compiled.Close(ctx))
		}
		return p.refusal(c, err)
	case "assert_unlinkable":
		m, compiled, err := p.load(ctx, c)
		if err != nil {
			return err
		}
		var trap errTrap
		if _, err = p.instantiate(ctx, m, compiled); err == nil || errors.As(err, &trap) {
			return fmt.Errorf("it was linked, and ended with %s", ended(err))
		}
		return nil
	case "assert_uninstantiable":
		_, err := p.make(ctx, c)
		if err == nil && c.Text == "out of bounds table access" {
			return nil // wazero leaves out elements that do not fit, and goes on
		}
		return sameTrap(err, c.Text)
	}
	return fmt.Errorf("command %q is not known", c.Type)
}

// overCaps are the malformed modules that a cap refuses before what is wrong
// with them comes up: both have more than 4 billion locals.
var overCaps = []string{"binary:351", "binary:367"}

// refusal wants an error to be one that a module may cause.
func (p *play) refusal(c *command, err error) error {
	var broken brokenError
	switch over := errors.Is(err, binary.ErrLimit); {
	case errors.As(err, &broken):
		return err
	case over != slices.Contains(overCaps, fmt.Sprintf("%s:%d", p.name, c.Line)):
		return fmt.Errorf("it is over a cap: %t: %w", over, err)
	}
	return nil
}

func (p *play) instance(name string) *instance {
	if name == "" {
		return p.current
	}
	return p.named[name]
}

func (p *play) load(ctx context.Context, c *command) (*module, wazero.CompiledModule, error) {
	code, err := os.ReadFile(filepath.Join(p.dir, c.Filename))
	if err != nil {
		return nil, nil, brokenError{err}
	}
	return p.compile(ctx, code)
}

// make loads and instantiates a module that is valid.
func (p *play) make(ctx context.Context, c *command) (*instance, error) {
	m, compiled, err := p.load(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.instantiate(ctx, m, compiled)
}

func (p *play) module(ctx context.Context, c *command) error {
	i, err := p.make(ctx, c)
	if err != nil {
		return err
	}
	p.current = i
	if c.Name != "" {
		p.named[c.Name] = i
	}
	return nil
}

// act does an action.
func (p *play) act(ctx context.Context, a *action) ([]uint64, error) {
	i := p.instance(a.Module)
	if i == nil {
		return nil, errors.New("there is no such module")
	}
	if a.Type == "get" {
		g := i.ExportedGlobal(a.Field)
		if g == nil {
			return nil, fmt.Errorf("there is no global %q", a.Field)
		}
		return []uint64{g.Get()}, nil
	}
	f := i.ExportedFunction(a.Field)
	if f == nil {
		return nil, fmt.Errorf("there is no function %q", a.Field)
	}
	var args []uint64
	for _, v := range a.Args {
		words, err := v.words()
		if err != nil {
			return nil, err
		}
		args = append(args, words...)
	}
	results, fuel, err := p.call(ctx, f, args...)
	if !p.exhausted() {
		p.fuel = append(p.fuel, fuel)
	}
	return results, err
}

func (p *play) returns(ctx context.Context, c *command) error {
	results, err := p.act(ctx, &c.Action)
	if err != nil || c.Type == "action" {
		return err
	}
	for _, v := range c.Expected {
		n := v.slots()
		if n > len(results) {
			return errors.New("there are too few results")
		}
		if err := v.matches(results[:n]); err != nil {
			return err
		}
		results = results[n:]
	}
	if len(results) > 0 {
		return errors.New("there are too many results")
	}
	return nil
}

// exhaustion wants the stack to have ended: of a metered module, the one that
// is counted.
func (p *play) exhaustion(err error) error {
	want := errTrap("stack overflow")
	if p.slice > 0 {
		want = "unreachable"
		if !p.exhausted() {
			return fmt.Errorf("there is stack left after %s", ended(err))
		}
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("it ended with %s, want %s", ended(err), string(want))
	}
	return nil
}

// sameTrap compares a trap with the suite's words for it.
func sameTrap(err error, text string) error {
	want := errTrap(text)
	switch {
	case text == "undefined element" || text == "out of bounds table access", strings.HasPrefix(text, "uninitialized element"):
		want = "invalid table access"
	case text == "integer divide by zero" || text == "integer overflow" || text == "indirect call type mismatch",
		text == "out of bounds memory access" || text == "invalid conversion to integer" || text == "unreachable":
	default:
		return fmt.Errorf("trap %q is not known", text)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("it ended with %s, want %s", ended(err), string(want))
	}
	return nil
}

func ended(err error) string {
	if err == nil {
		return "success"
	}
	return err.Error()
}
