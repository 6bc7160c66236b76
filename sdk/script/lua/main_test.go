package main

import (
	"testing"

	"pappus/sdk/go/pappus"
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

func TestLongTables(t *testing.T) {
	i, size := newInterpreter(), 0
	err := i.Load("main.lua", `
function run()
  local parts = {}
  for n = 1, 100000 do parts[n] = "x" end
  output("all", "all", table.concat(parts))
end`)
	if err == nil {
		err = i.Call(nil, func(_ string, it pappus.Item) { size = len(it.Data) })
	}
	if err != nil || size != 100000 {
		t.Errorf("%d bytes, %v", size, err)
	}
}
