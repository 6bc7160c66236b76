package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pappus/client"
	"pappus/wasmengine/binary/binarytest"
)

// counts reads one series of a metric, labels included, as the page has it.
func (p *process) counts(series string) string {
	p.t.Helper()
	_, _, text := p.do(http.MethodGet, "/metrics", "", "")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	p.t.Fatalf("there is no series %s", series)
	return ""
}

const (
	cacheHits    = `pappus_wasm_code_cache_lookups_total{result="hit"}`
	cacheDamaged = `pappus_wasm_code_cache_removed_total{reason="damaged"}`
	compiledHere = `pappus_wasm_compiled_total{where="process"}`
)

// A server that starts again compiles nothing that another one has compiled,
// unless it was damaged.
func TestCodeCache(t *testing.T) {
	dir := t.TempDir()
	const text, want = "to be or not to be", "be 2\nto 2\nnot 1\nor 1\n"
	p := serve(t, dir)
	if _, err := p.push("words", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p.kill()

	expect := func(hits, damaged, compiled string) {
		t.Helper()
		if got, err := p.invoke("words", text); got != want || err != nil {
			t.Errorf("it gives %q (%v)", got, err)
		}
		if h, d, c := p.counts(cacheHits), p.counts(cacheDamaged), p.counts(compiledHere); h != hits || d != damaged || c != compiled {
			t.Errorf("%s hits, %s damaged, %s compiled; want %s, %s and %s", h, d, c, hits, damaged, compiled)
		}
		p.stop()
	}
	p = serve(t, dir)
	expect("1", "0", "0")

	files, err := filepath.Glob(filepath.Join(dir, "compiled/v1/*/files/wazero-*/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of code: %v (%v)", files, err)
	}
	code := read(t, files[0])
	code[len(code)/2] ^= 1
	if err := os.WriteFile(files[0], code, 0o600); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir)
	expect("0", "1", "1")
	p = serve(t, dir)
	expect("1", "0", "0")

	p = serve(t, dir, "--code-cache", "0")
	expect("0", "0", "1")
	p = serve(t, dir, "--code-cache", "1KiB") // too small for anything
	expect("0", "0", "1")
}

// children are the processes that a server has started and that still run.
func (p *process) children() []string {
	p.t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil { // else the thread has ended
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

// A compile process compiles one module after another, and ends with its
// server, however that ends.
func TestCompileProcessEndsWithTheServer(t *testing.T) {
	costly := func(n int) []byte {
		return binarytest.Function(binarytest.Body(2, bytes.Repeat(binarytest.IfBlock(), 600+n)))
	}
	for name, end := range map[string]func(p *process){"stop": (*process).stop, "kill": (*process).kill} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, t.TempDir())
			for n := range 3 {
				if _, err := p.push(fmt.Sprintf("f%d", n), costly(n), client.PutOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if n := p.counts(`pappus_wasm_compiled_total{where="child"}`); n != "3" {
				t.Errorf("%s modules were compiled in a process of their own", n)
			}
			children := p.children()
			if len(children) != 1 {
				t.Fatalf("compile processes: %v", children)
			}
			end(p)
			deadline := time.Now().Add(20 * time.Second)
			for _, child := range children {
				for state(child) != "" {
					if time.Now().After(deadline) {
						t.Fatalf("compile process %s is left, in state %s", child, state(child))
					}
					time.Sleep(5 * time.Millisecond) // it is not ours, so that it can't be waited for
				}
			}
		})
	}
}

// state is that of a process, "" if it has ended: a zombie has, too.
func state(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	if strings.HasPrefix(rest, "Z") || rest == "" {
		return ""
	}
	return rest[:1]
}

// Functions that nobody calls cost their records only: what is loaded stays
// within its bound, and each is called rightly whenever it is.
func TestManyFunctions(t *testing.T) {
	const functions, bound = 200, 2 << 20
	p := serve(t, t.TempDir(), "--loaded-code", fmt.Sprint(bound))
	name := func(n int) string { return fmt.Sprintf("f%d", n) }
	for n := range functions {
		if _, err := p.push(name(n), withSection(sample(t, "wordcount"), uint64(n), 8), client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before := p.status(t, "VmRSS")
	for round := range 2 {
		for n := range functions {
			if got, err := p.invoke(name(n), fmt.Sprint("one ", n)); got != fmt.Sprintf("%d 1\none 1\n", n) || err != nil {
				t.Fatalf("round %d, function %d gives %q (%v)", round, n, got, err)
			}
		}
		if loaded := p.metric("pappus_programs_bytes"); loaded > bound {
			t.Errorf("%g bytes of code are loaded, and %d may be", loaded, bound)
		}
	}
	if compiled := p.counts(compiledHere); compiled != fmt.Sprint(functions) {
		t.Errorf("%s modules were compiled, and there are %d", compiled, functions)
	}
	if after := p.status(t, "VmRSS"); after > before+64<<20 {
		t.Errorf("%d MiB are resident, %d MiB were before the calls", after>>20, before>>20)
	}
}
