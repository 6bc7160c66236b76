package main_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"pappus/client"
)

// atTerminal runs a command whose output is a terminal, or only its standard
// error, and returns what the terminal gets and, if it is not one, its standard
// output.
func atTerminal(t *testing.T, stdoutToo bool, env []string, args ...string) (screen, stdout string) {
	t.Helper()
	terminal, side, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(append(os.Environ(), "TERM=xterm", "NO_COLOR="), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, side
	if stdoutToo {
		cmd.Stdout = side
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := side.Close(); err != nil {
		t.Fatal(err)
	}
	shown, _ := io.ReadAll(terminal) // ends with EIO when nobody has the other side
	_ = cmd.Wait()                   // what it says tells whether it went well
	return strings.ReplaceAll(string(shown), "\r\n", "\n"), out.String()
}

const escape = "\x1b"

// Colours and lines that are redrawn are for terminals that want them, and for
// nobody else.
func TestTerminals(t *testing.T) {
	server := serve(t, t.TempDir())
	const loop, echo = "../../wasmengine/testdata/hostile/loop.wasm", "../../wasmengine/testdata/hostile/echo-grow.wasm"
	esc := filepath.Join(t.TempDir(), "escape")
	if err := os.WriteFile(esc, []byte("a\x1b[31mb"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.push("loop", hostileModule(t, "loop"), client.PutOptions{Timeout: "1500ms"}); err != nil {
		t.Fatal(err)
	}
	at := []string{"PAPPUS_SERVER=" + server.url}
	with := func(more ...string) []string { return append(append([]string{}, at...), more...) }
	for _, c := range []struct {
		name   string
		stdout bool
		env    []string
		args   []string
		has    []string
		hasNot []string
	}{
		{"a table", true, at, []string{"ls"}, []string{"\x1b[1mNAME ", "\x1b[0m\nloop "}, nil},
		{"an error", true, at, []string{"inspect", "nobody"}, []string{"\x1b[1;31mpappus:\x1b[0m unknown-function", "\x1b[2mhint: "}, nil},
		{"without colours", true, with("NO_COLOR=1"), []string{"ls"}, []string{"NAME "}, []string{escape}},
		{"an error without colours", true, with("NO_COLOR=1"), []string{"inspect", "nobody"}, []string{"pappus: "}, []string{escape}},
		{"a dumb terminal", true, with("TERM=dumb"), []string{"invoke", "loop"}, []string{"pappus: deadline"}, []string{escape}},
		{"no known terminal", true, with("TERM="), []string{"ls"}, []string{"NAME "}, []string{escape}},
		{"only errors are on it", false, at, []string{"inspect", "nobody"}, []string{"\x1b[1;31mpappus:"}, nil},
		{"what a function gives", true, at, []string{"run", echo, "--in", "a=" + esc}, []string{`a\u001b[31mb`}, []string{"\x1b[31m"}},
		{"several items", true, at, []string{"run", echo, "--in", "a=" + esc, "--in", "a=" + esc}, []string{"\x1b[1m== output/escape (7 bytes)\x1b[0m\na\\u001b[31mb"}, []string{"\x1b[31m"}},
		{"a long call", true, at, []string{"invoke", "loop"}, []string{"\r\x1b[Krunning loop… ", "\r\x1b[K\x1b[1;31mpappus:\x1b[0m deadline"}, nil},
		{"a long call without colours", false, with("NO_COLOR=1"), []string{"invoke", "loop"}, []string{"\r\x1b[Krunning loop… ", "\r\x1b[Kpappus: deadline"}, nil},
		{"a long call, quietly", true, at, []string{"invoke", "loop", "-q"}, []string{"pappus:"}, []string{"running"}},
		{"a long call for scripts", true, at, []string{"invoke", "loop", "--json"}, []string{`{"exit":6,`}, []string{"running", escape}},
		{"a long call here", true, at, []string{"run", loop, "--timeout", "1500ms"}, []string{"\r\x1b[Kloop.wasm: running… ", "\r\x1b[K\x1b[1;31mpappus:"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			screen, stdout := atTerminal(t, c.stdout, c.env, c.args...)
			for _, text := range c.has {
				if !strings.Contains(screen, text) {
					t.Errorf("the screen has no %q:\n%q", text, screen)
				}
			}
			for _, text := range c.hasNot {
				if strings.Contains(screen, text) {
					t.Errorf("the screen has %q:\n%q", text, screen)
				}
			}
			if strings.Contains(stdout, escape) {
				t.Errorf("what is redirected has codes: %q", stdout)
			}
		})
	}
	for _, args := range [][]string{{"ls"}, {"inspect", "nobody"}, {"invoke", "loop"}} {
		if r := command(t.Context(), t, server.url, args...); strings.Contains(r.stdout+r.stderr, escape) {
			t.Errorf("%q, redirected: %q, %q", args, r.stdout, r.stderr)
		}
	}
}
