package run

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"pappus/sdk/go/pappus"
)

// Mistake is what is wrong at a place in a script.
type Mistake struct {
	Line, Column int // from 1 on; 0: not known
	Text         string
}

// checkFlag is the first argument of a program that is to check a script, the
// second is its file.
const checkFlag = "-check"

// Main is the main function of a program around an interpreter. As a function it
// runs the script. Elsewhere it checks the one that the arguments name: whoever
// builds functions hears of mistakes so before there is one.
func Main[I Interpreter](f pappus.Function, newInterpreter func() I) {
	if runtime.GOOS == "wasip1" || len(os.Args) != 3 || os.Args[1] != checkFlag {
		pappus.Main(f)
		return
	}
	if !check(os.Args[2], newInterpreter(), os.Stderr) {
		os.Exit(1) //nolint:forbidigo // this is the main function of programs
	}
}

// check reports whether a script has no mistakes, and shows them.
func check(file string, i Interpreter, w io.Writer) (ok bool) {
	source, err := os.ReadFile(file)
	if err != nil {
		Show(w, file, "", []Mistake{{Text: err.Error()}})
		return false
	}
	mistakes := i.Check(file, string(source))
	Show(w, file, string(source), mistakes)
	return len(mistakes) == 0
}

// maxMistakes is how many are shown: most that follow the first come of it.
const maxMistakes = 10

// Show writes mistakes as compilers do, each with its line of the source.
func Show(w io.Writer, file, source string, mistakes []Mistake) {
	mistakes = slices.Compact(slices.Clone(mistakes)) // parsers that go on say the same again
	var b strings.Builder
	lines := strings.Split(source, "\n")
	for _, m := range mistakes[:min(len(mistakes), maxMistakes)] {
		b.WriteString(file)
		if m.Line > 0 {
			fmt.Fprintf(&b, ":%d", m.Line)
		}
		if m.Line > 0 && m.Column > 0 {
			fmt.Fprintf(&b, ":%d", m.Column)
		}
		fmt.Fprintf(&b, ": %s\n", strings.TrimSpace(m.Text))
		if m.Line < 1 || m.Line > len(lines) {
			continue
		}
		line := strings.TrimSuffix(lines[m.Line-1], "\r")
		const longest = 200
		if line == "" || len(line) > longest || m.Column < 1 || m.Column > len(line)+1 {
			continue
		}
		// What is before the caret is as wide as what is above it.
		blank := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, line[:m.Column-1])
		fmt.Fprintf(&b, "%s\n%s^\n", line, blank)
	}
	if more := len(mistakes) - maxMistakes; more > 0 {
		fmt.Fprintf(&b, "… and %d more\n", more)
	}
	_, _ = io.WriteString(w, b.String()) // nobody is there to be told
}

// Shortened is a stack, a call on each line, without the middle of a long one.
func Shortened(stack string) string {
	const kept = 12 // at each end
	lines := strings.Split(stack, "\n")
	left := len(lines) - 2*kept
	if left <= 1 {
		return stack
	}
	lines = slices.Replace(lines, kept, kept+left, fmt.Sprintf("\t… and %d lines more", left))
	return strings.Join(lines, "\n")
}
