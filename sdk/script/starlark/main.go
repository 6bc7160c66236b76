// A function in Starlark, Python's dialect: the interpreter, and the script of
// the project.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"pappus/sdk/go/pappus"
	"pappus/sdk/script/run"
)

// script is empty in this folder: who builds a function puts another file in its place.
//
//go:embed main.star
var script string

// function is ready before the first call.
var function = run.Function(newInterpreter(), "main.star", script) //nolint:gochecknoglobals // made before any call, for all of them

func main() { run.Main(function, newInterpreter) }

type interpreter struct {
	globals starlark.StringDict
	put     run.Put // of the call
}

var _ run.Interpreter = (*interpreter)(nil)

func newInterpreter() *interpreter { return &interpreter{put: func(string, pappus.Item) {}} }

// A recursion of the script is one of the interpreter, and the machine's stack has
// room for so many calls within each other.
const (
	maxDepth   = 1000
	depthSteps = 100 // after so many steps the depth is looked at; a call takes some
)

// thread prints to stdout, and ends when too many calls are within each other.
func (i *interpreter) thread() *starlark.Thread {
	t := &starlark.Thread{
		Name:  "main",
		Print: func(_ *starlark.Thread, line string) { fmt.Fprintln(os.Stdout, line) }, //nolint:errcheck // nobody is there to be told
		OnMaxSteps: func(t *starlark.Thread) {
			if t.CallStackDepth() > maxDepth {
				t.Cancel(fmt.Sprintf("more than %d calls are within each other: look for a recursion that has no end", maxDepth))
			}
			t.SetMaxExecutionSteps(t.ExecutionSteps() + depthSteps)
		},
	}
	t.SetMaxExecutionSteps(depthSteps)
	return t
}

func (i *interpreter) Load(file, source string) (err error) {
	i.globals, err = starlark.ExecFileOptions(options(), i.thread(), file, source, i.predeclared())
	return told(err)
}

// options allow what Python does and Starlark leaves out.
func options() *syntax.FileOptions {
	return &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}
}

// predeclared are the names that a script has besides the language's.
func (i *interpreter) predeclared() starlark.StringDict {
	return starlark.StringDict{"output": starlark.NewBuiltin("output", i.output), "json": json.Module, "math": math.Module}
}

// Check finds names that are not defined, too.
func (i *interpreter) Check(file, source string) (mistakes []run.Mistake) {
	_, _, err := starlark.SourceProgramOptions(options(), file, source, i.predeclared().Has)
	var (
		parsing   syntax.Error
		resolving resolve.ErrorList
	)
	switch {
	case errors.As(err, &parsing):
		mistakes = append(mistakes, run.Mistake{Line: int(parsing.Pos.Line), Column: int(parsing.Pos.Col), Text: parsing.Msg})
	case errors.As(err, &resolving):
		for _, e := range resolving {
			mistakes = append(mistakes, run.Mistake{Line: int(e.Pos.Line), Column: int(e.Pos.Col), Text: e.Msg})
		}
	case err != nil:
		mistakes = append(mistakes, run.Mistake{Text: err.Error()})
	}
	return mistakes
}

func (i *interpreter) Call(in pappus.Inputs, put run.Put) error {
	f, ok := i.globals["run"].(starlark.Callable)
	if !ok {
		return run.ErrNoRun
	}
	i.put = put
	_, err := starlark.Call(i.thread(), f, starlark.Tuple{inputs(in)}, nil)
	return told(err)
}

// told is an error with the script's stack.
func told(err error) error {
	var failed *starlark.EvalError
	if errors.As(err, &failed) {
		return errors.New(run.Shortened(failed.Backtrace()))
	}
	return err
}

// sets are the input sets: inputs.logs and inputs["logs"].
type sets struct{ *starlark.Dict }

var (
	_ starlark.HasAttrs = sets{}
	_ starlark.Mapping  = sets{}
)

func (s sets) Attr(name string) (starlark.Value, error) {
	v, ok, err := s.Get(starlark.String(name))
	if err != nil || ok {
		return v, err
	}
	return s.Dict.Attr(name)
}

func (s sets) AttrNames() (names []string) {
	for _, k := range s.Keys() {
		if name, ok := starlark.AsString(k); ok {
			names = append(names, name)
		}
	}
	return append(names, s.Dict.AttrNames()...)
}

func inputs(in pappus.Inputs) sets {
	all := sets{starlark.NewDict(len(in))}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		list := make([]starlark.Value, len(in[name]))
		for n, it := range in[name] {
			list[n] = starlarkstruct.FromStringDict(starlark.String("item"), starlark.StringDict{
				"name": starlark.String(it.Name), "key": starlark.MakeInt64(int64(it.Key)),
				"text": starlark.String(it.Data), "bytes": starlark.Bytes(it.Data),
			})
		}
		if err := all.SetKey(starlark.String(name), starlark.NewList(list)); err != nil {
			fmt.Fprintln(os.Stderr, err) // a dict that nobody iterates takes every string
		}
	}
	return all
}

// output is output(set, name, data, key).
func (i *interpreter) output(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var (
		set, name string
		data      starlark.Value
		key       uint32
	)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "set", &set, "name", &name, "data", &data, "key?", &key); err != nil {
		return nil, err
	}
	item := pappus.Item{Name: name, Key: key}
	switch data := data.(type) {
	case starlark.String:
		item.Data = []byte(data)
	case starlark.Bytes:
		item.Data = []byte(data)
	default:
		return nil, fmt.Errorf("output: the data of %s is a %s, not a string or bytes", name, data.Type())
	}
	i.put(set, item)
	return starlark.None, nil
}
