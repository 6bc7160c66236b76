package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pappus/client"
	"pappus/engine"
	"pappus/server"
	"pappus/server/problem"
)

func exitCodes() []int {
	return []int{exitOK, exitInternal, exitUsage, exitUnreachable, exitNotFound, exitRejected, exitFault, exitRefused, exitBusy, exitFile, exitDiffers, exitInterrupted}
}

func TestExitCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []int
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllSubmatch(text, -1) {
		code, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		documented = append(documented, code)
	}
	if !slices.Equal(documented, exitCodes()) {
		t.Errorf("documented are %v, there are %v", documented, exitCodes())
	}
}

func TestFailures(t *testing.T) {
	fault := &engine.Fault{Kind: engine.FaultExit, ExitCode: -1, Stderr: []byte("no"), Stack: []string{"f()"}}
	for _, c := range []struct {
		err  error
		exit int
		kind string
	}{
		{usage("hint", "wrong"), exitUsage, ""},
		{fmt.Errorf("wrapped: %w", usage("hint", "wrong")), exitUsage, ""},
		{fault, exitFault, "exit"},
		{&engine.RejectedError{Reason: "imports", Imports: []string{"a.b"}}, exitRejected, "rejected-module"},
		{&engine.RejectedError{Reason: "its initialisation ended with a trap", Err: fault}, exitRejected, "rejected-module"},
		{&engine.RejectedError{Reason: "costly", Costly: true}, exitRejected, "compile-too-costly"},
		{fmt.Errorf("%w: connection refused", client.ErrUnreachable), exitUnreachable, ""},
		{fmt.Errorf("call: %w", context.Canceled), exitInterrupted, ""},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, exitFile, ""},
		{errors.New("surprise"), exitInternal, ""},
	} {
		f := failureOf(c.err)
		if f.Exit != c.exit || f.Kind != c.kind || f.Hint == "" || f.Message == "" {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
	if f := failureOf(fmt.Errorf("server: %w", server.ErrUnfinished)); f.Exit != exitInternal || !strings.Contains(f.Hint, "--shutdown") {
		t.Errorf("%+v", f)
	}
	if f := failureOf(fault); f.ExitCode == nil || *f.ExitCode != -1 || f.Stderr != "no" || len(f.Stack) != 1 {
		t.Errorf("%+v", f)
	}
}

// Every problem that a server can have has an exit code, and only its own
// mistakes have that of mistakes.
func TestEveryProblemHasAnExitCode(t *testing.T) {
	for _, e := range problem.Catalogue() {
		f := failureOf(&client.Problem{Type: "/errors/" + string(e.Code), Status: e.Status, Title: e.Title, Hint: e.Hint})
		if own := e.Status == 500; (f.Exit == exitInternal) != own || f.Kind != string(e.Code) || f.Hint == "" {
			t.Errorf("%s: %+v", e.Code, f)
		}
	}
	if f := failureOf(&client.Problem{Status: 502, Title: "Bad Gateway"}); !strings.Contains(f.Hint, "--server") {
		t.Errorf("of no Pappus server: %+v", f)
	}
}

func TestPrintFailure(t *testing.T) {
	code := int32(7)
	f := &failure{
		Exit: exitFault, Message: "two\nlines\x1b[2J", Kind: "exit", ExitCode: &code, Stderr: "first\n\tsecond\n",
		Stack: []string{"f()", "hint: fake\nhint: fake"}, Imports: []string{"a.b"}, Declared: []string{"text"}, Hint: "do this",
	}
	var b bytes.Buffer
	f.print(newEscaper(&b), false)
	const want = `pappus: two\nlines\u001b[2J
imports:
  a.b
declared:
  text
stack:
  f()
  hint: fake\nhint: fake
stderr:
  first
      second
hint: do this
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	f.print(newEscaper(&b), true)
	var back failure
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Message != f.Message || *back.ExitCode != 7 || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%s: %v", b.String(), err)
	}
}

// Imports that the message names are not listed again.
func TestImportsAreNamedOnce(t *testing.T) {
	for message, want := range map[string]int{"2 refused (a.b, a.c)": 0, "2 refused (a.b, …)": 1} {
		f := &failure{Message: message, Imports: []string{"a.b", "a.c"}}
		var b bytes.Buffer
		f.print(newEscaper(&b), false)
		if got := strings.Count(b.String(), "imports:\n  a.b\n  a.c\n"); got != want {
			t.Errorf("%s", b.String())
		}
	}
}

// What is printed for a shell is one word there.
func TestShellWord(t *testing.T) {
	for _, word := range []string{"a/b-1.c", "", "my work", "it's", "$HOME`x`", "a;b", "-rf", "*", "naïve", `a\b"`} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(word)).Output()
		if want := strings.TrimPrefix(word, "./"); err != nil || strings.TrimPrefix(string(out), "./") != want {
			t.Errorf("%q is %s, which is %q: %v", word, shellWord(word), out, err)
		}
	}
}
