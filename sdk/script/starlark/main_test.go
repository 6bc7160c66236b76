package main

import (
	"testing"

	"pappus/sdk/script/run/runtest"
)

func TestCases(t *testing.T) { runtest.Cases(t, newInterpreter, "main.star") }

func TestFailures(t *testing.T) { runtest.Failures(t, newInterpreter, "main.star") }

func TestMistakes(t *testing.T) {
	runtest.Mistakes(t, newInterpreter, "main.star", map[string]string{
		"":                          "",
		"fail('later')":             "",
		"def run(":                  "main.star:1:9: ",
		"x = 1\ny = = 2\n":          "main.star:2:5: ",
		"def run(i):\n    miss()\n": "main.star:2:5: undefined: miss\n    miss()\n    ^\n",
	})
}
