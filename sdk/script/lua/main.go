// A function in Lua: the interpreter, and the script of the project.
package main

import (
	_ "embed"
	"errors"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"pappus/sdk/go/pappus"
	"pappus/sdk/script/run"
)

// script is empty in this folder: who builds a function puts another file in its place.
//
//go:embed main.lua
var script string

// function is ready before the first call.
var function = run.Function(newInterpreter(), "main.lua", script) //nolint:gochecknoglobals // made before any call, for all of them

func main() { run.Main(function, newInterpreter) }

type interpreter struct {
	state *lua.LState
	put   run.Put // of the call
}

var _ run.Interpreter = (*interpreter)(nil)

func newInterpreter() *interpreter {
	// The values that calls pass: table.concat passes all of a table's, and would fail beyond 5,000.
	options := lua.Options{RegistryMaxSize: 1 << 20, RegistryGrowStep: 1 << 12}
	i := &interpreter{state: lua.NewState(options), put: func(string, pappus.Item) {}}
	i.state.SetGlobal("output", i.state.NewFunction(i.output))
	return i
}

func (i *interpreter) Load(file, source string) error {
	f, err := i.state.Load(strings.NewReader(source), file)
	if err != nil {
		return err
	}
	return i.state.CallByParam(lua.P{Fn: f, Protect: true})
}

func (*interpreter) Check(file, source string) []run.Mistake {
	chunk, err := parse.Parse(strings.NewReader(source), file)
	if err == nil {
		_, err = lua.Compile(chunk, file)
	}
	var (
		parsing   *parse.Error
		compiling *lua.CompileError
	)
	switch {
	case errors.As(err, &parsing) && parsing.Pos.Line == parse.EOF:
		return []run.Mistake{{Line: 1 + strings.Count(strings.TrimRight(source, "\n"), "\n"), Text: parsing.Message + " at the end"}}
	case errors.As(err, &parsing):
		return []run.Mistake{{Line: parsing.Pos.Line, Column: parsing.Pos.Column, Text: parsing.Message + " near " + parsing.Token}}
	case errors.As(err, &compiling):
		return []run.Mistake{{Line: compiling.Line, Text: compiling.Message}}
	case err != nil:
		return []run.Mistake{{Text: err.Error()}}
	}
	return nil
}

func (i *interpreter) Call(in pappus.Inputs, put run.Put) error {
	f, ok := i.state.GetGlobal("run").(*lua.LFunction)
	if !ok {
		return run.ErrNoRun
	}
	i.put = put
	return i.state.CallByParam(lua.P{Fn: f, Protect: true}, i.inputs(in))
}

// inputs is a table with a list of items for each set. Strings are bytes here,
// so text and bytes are the same.
func (i *interpreter) inputs(in pappus.Inputs) *lua.LTable {
	sets := i.state.NewTable()
	for _, name := range slices.Sorted(maps.Keys(in)) {
		items := in[name]
		list := i.state.CreateTable(len(items), 0)
		for _, it := range items {
			o := i.state.CreateTable(0, 4)
			content := lua.LString(it.Data)
			o.RawSetString("name", lua.LString(it.Name))
			o.RawSetString("key", lua.LNumber(it.Key))
			o.RawSetString("text", content)
			o.RawSetString("bytes", content)
			list.Append(o)
		}
		sets.RawSetString(name, list)
	}
	return sets
}

// output is output(set, name, data, key).
func (i *interpreter) output(s *lua.LState) int {
	key := s.OptNumber(4, 0)
	if key < 0 || key > 1<<32-1 || key != lua.LNumber(uint32(key)) {
		s.ArgError(4, "the key is no whole number from 0 to 4294967295")
	}
	i.put(s.CheckString(1), pappus.Item{Name: s.CheckString(2), Data: []byte(s.CheckString(3)), Key: uint32(key)})
	return 0
}
