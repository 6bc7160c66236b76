package main

import (
	"strings"
	"testing"

	"pappus/sdk/script/run/runtest"
)

func TestCases(t *testing.T) { runtest.Cases(t, newInterpreter, "main.js") }

func TestFailures(t *testing.T) { runtest.Failures(t, newInterpreter, "main.js") }

func TestMistakes(t *testing.T) {
	runtest.Mistakes(t, newInterpreter, "main.js", map[string]string{
		"":                               "",
		"throw new Error('later')":       "",
		"missing()":                      "",
		"//# sourceMappingURL=/none.map": "",
		"function run( {":                "main.js:1:16: SyntaxError: Unexpected end of input\nfunction run( {\n               ^\n",
		"var a;\n\tvar b = = 1;":         "main.js:2:10: SyntaxError: Unexpected token =\n\tvar b = = 1;\n\t        ^\n",
		"let a;\nlet a;":                 "main.js:2:",
		"break;":                         "main.js:1:",
	})
	err := newInterpreter().Load("main.js", "function run( {")
	if err == nil || strings.Count(err.Error(), "SyntaxError") != 1 {
		t.Errorf("%v", err)
	}
}

func TestRecursion(t *testing.T) {
	runtest.Recursion(t, newInterpreter, "main.js", map[string]string{
		"function run() { return f(1) }\nfunction f(n) { return 1 + f(n + 1) }": "\n\tat f (main.js:2:",
		"function run() {\n  [1].map(run) }":                                    "\n\tat run (main.js:2:",
		"function run() { try { run() } catch (e) { run() } }":                  "\n\tat run (main.js:1:",
		"function f(n) { return n && f(n - 1) }\nfunction run() { f(900) }":     "",
	})
}
