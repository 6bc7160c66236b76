package main_test

import (
	"strconv"
	"strings"
	"testing"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/wasmengine/binary"
)

// What the operator allows is what a function can ask for, at the limit and not
// past it, and what one gets that asks for nothing.
func TestOperatorLimits(t *testing.T) {
	p := serve(t, t.TempDir(), "--default-limits", "stack=2MiB,items=9", "--default-limits", "timeout=3s",
		"--max-limits", "memory=4MiB,stack=4MiB,output=1MiB,items=20,fuel=1000000,timeout=5s")
	path := "../../samples/wordcount/wordcount.wasm"
	push := func(args ...string) result {
		return command(t.Context(), t, p.url, append([]string{"push", path, "--json"}, args...)...)
	}
	plain := push()
	for _, want := range []string{`"memory": "4MiB"`, `"stack": "2MiB"`, `"output": "1MiB"`, `"items": 9`, `"fuel": 1000000`, `"timeout": "3s"`} {
		if plain.exit != 0 || !strings.Contains(plain.stdout, want) {
			t.Errorf("%d, without %s: %s%s", plain.exit, want, plain.stdout, plain.stderr)
		}
	}
	for flag, values := range map[string][2]string{
		"--memory":       {"4MiB", "4194305"},
		"--stack":        {"4MiB", "4194305"},
		"--output-limit": {"1MiB", "1048577"},
		"--fuel":         {"1000000", "1000001"},
		"--timeout":      {"5s", "5001ms"},
	} {
		if r := push(flag, values[0]); r.exit != 0 {
			t.Errorf("%s at the limit: %d %s", flag, r.exit, r.stderr)
		}
		if r := push(flag, values[1]); r.exit == 0 || !strings.Contains(r.stderr, "the most that is allowed is") {
			t.Errorf("%s past the limit: %d %s%s", flag, r.exit, r.stdout, r.stderr)
		}
	}
}

// Caps of modules are the operator's too.
func TestModuleLimits(t *testing.T) {
	path := "../../samples/wordcount/wordcount.wasm"
	for _, c := range []struct {
		limits string
		exit   bool
	}{{"exports=3,body=64KiB", true}, {"exports=2", false}, {"body=100", false}} {
		p := serve(t, t.TempDir(), "--module-limits", c.limits)
		r := command(t.Context(), t, p.url, "push", path, "--json")
		if (r.exit == 0) != c.exit || !c.exit && !strings.Contains(r.stderr, "rejected-module") {
			t.Errorf("%s: %d %s%s", c.limits, r.exit, r.stdout, r.stderr)
		}
		p.stop()
	}
}

// The page of limits has every name with its default.
func TestLimitsPage(t *testing.T) {
	page := string(read(t, "../../docs/limits.md"))
	rows := make(map[string]string)
	section := ""
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = ""
			if title == "Of a run\n" { // whose names are partly those of a call
				section = "run "
			}
		}
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		names, defaults := strings.Fields(cells[1]), strings.Fields(cells[3])
		for i, name := range names {
			rows[section+strings.Trim(name, "`")] = defaults[min(i, len(defaults)-1)]
		}
	}
	d := engine.DefaultLimits()
	for name, want := range map[string]string{
		"memory": d.Memory.String(), "stack": d.Stack.String(), "output": d.Output.String(),
		"items": strconv.Itoa(d.Items), "fuel": "none", "timeout": d.Timeout.String(),
	} {
		if rows[name] != want {
			t.Errorf("%s: %q on the page, %s in the engine", name, rows[name], want)
		}
	}
	caps := binary.DefaultCaps()
	caps.Each(func(name string, bound *int) {
		if got, err := engine.ParseBytes(rows[name]); err != nil || int(got) != *bound {
			t.Errorf("%s: %q on the page, %d in the decoder", name, rows[name], *bound)
		}
	})
	dispatcher.Config{}.RunLimits().Each(func(name, value string) {
		if got := rows["run "+name]; got != value && name != "bytes" { // which depends on the machine
			t.Errorf("%s of runs: %q on the page, %s in the dispatcher", name, got, value)
		}
	})
	if want := len(engine.LimitNames()) + 6 + 23; len(rows) != want {
		t.Errorf("%d limits on the page instead of %d", len(rows), want)
	}
}
