package main

import (
	"io"
	"testing"
)

// withoutEnvironment is a command line in which no variable is set.
func withoutEnvironment(stdout, stderr io.Writer) *commandLine {
	return &commandLine{stdout: stdout, stderr: stderr, lookupEnv: func(string) (string, bool) { return "", false }}
}

func TestHarmless(t *testing.T) {
	if got := harmless("a\x1b[2J\nb\xc3"); got != `a\u001b[2J\nb\xc3` {
		t.Errorf("%q", got)
	}
}
