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
