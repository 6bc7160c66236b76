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

func TestRecursion(t *testing.T) {
	runtest.Recursion(t, newInterpreter, "main.star", map[string]string{
		"def f(n):\n  return 1 + f(n + 1)\ndef run(i):\n  f(1)":     "main.star:2:15: in f\n",
		"def run(i):\n  sorted([1], key = run)":                     "main.star:2:9: in run\n",
		"def run(i):\n  [run(x) for x in [1]]":                      "main.star:2:7: in run\n",
		"def f(n):\n  return n and f(n - 1)\ndef run(i):\n  f(900)": "",
		"def run(i):\n  for n in range(100000):\n    n += 1":        "",
	})
}
