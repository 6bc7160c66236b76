package main

import (
	"testing"

	"pappus/sdk/script/run/runtest"
)

func TestCases(t *testing.T) { runtest.Cases(t, newInterpreter, "main.lua") }

func TestFailures(t *testing.T) { runtest.Failures(t, newInterpreter, "main.lua") }

func TestMistakes(t *testing.T) {
	runtest.Mistakes(t, newInterpreter, "main.lua", map[string]string{
		"":                 "",
		"missing()":        "",
		"function run(":    "main.lua:1: ",
		"x = 1\ny = = 2\n": "main.lua:2:5: syntax error near =\ny = = 2\n    ^\n",
		"goto nowhere":     "main.lua:2: no visible label",
	})
}
