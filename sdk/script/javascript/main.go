// A function in JavaScript: the interpreter, and the script of the project.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"

	"pappus/sdk/go/pappus"
	"pappus/sdk/script/run"
)

// script is empty in this folder: who builds a function puts another file in its place.
//
//go:embed main.js
var script string

// function is ready before the first call.
var function = run.Function(newInterpreter(), "main.js", script) //nolint:gochecknoglobals // made before any call, for all of them

func main() { run.Main(function, newInterpreter) }

type interpreter struct {
	vm         *goja.Runtime
	uint8Array goja.Value // the constructor, which scripts may put something else in place of
	put        run.Put    // of the call
}

var _ run.Interpreter = (*interpreter)(nil)

// maxDepth is how many calls may be within each other. Those that go through the
// library are calls of the machine too, whose stack has room for so many.
const maxDepth = 1000

func newInterpreter() *interpreter {
	i := &interpreter{vm: goja.New(), put: func(string, pappus.Item) {}}
	i.vm.SetMaxCallStackSize(maxDepth)
	i.vm.SetParserOptions(parser.WithDisableSourceMaps) // which would be other files
	i.uint8Array = i.vm.Get("Uint8Array")
	console := i.vm.NewObject()
	for name, to := range map[string]*os.File{
		"log": os.Stdout, "info": os.Stdout, "debug": os.Stdout, "warn": os.Stderr, "error": os.Stderr,
	} {
		i.set(console, name, func(call goja.FunctionCall) goja.Value {
			words := make([]string, len(call.Arguments))
			for n, a := range call.Arguments {
				words[n] = i.shown(a)
			}
			fmt.Fprintln(to, strings.Join(words, " ")) //nolint:errcheck // nobody is there to be told
			return goja.Undefined()
		})
	}
	i.set(i.vm.GlobalObject(), "console", console)
	i.set(i.vm.GlobalObject(), "output", i.output)
	return i
}

// set defines a property of an object that is ours, where nothing can go wrong.
func (i *interpreter) set(o *goja.Object, name string, value any) {
	if err := o.Set(name, value); err != nil {
		i.throw(i.vm.NewGoError(err))
	}
}

// throw throws a value in the script, which may catch it.
func (*interpreter) throw(v goja.Value) {
	panic(v) //nolint:forbidigo // the interpreter's way: what calls back from a script recovers it
}

// shown is a value as console.log writes it: objects as JSON.
func (i *interpreter) shown(v goja.Value) string {
	if o, ok := v.(*goja.Object); ok && o.ClassName() != "Error" && o.ClassName() != "Function" {
		if text, err := o.MarshalJSON(); err == nil {
			return string(text)
		}
	}
	return v.String()
}

func (i *interpreter) Load(file, source string) error {
	_, err := i.vm.RunScript(file, source)
	return told(err)
}

func (*interpreter) Check(file, source string) (mistakes []run.Mistake) {
	script, err := parser.ParseFile(nil, file, source, 0, parser.WithDisableSourceMaps)
	if err == nil {
		_, err = goja.CompileAST(script, false)
	}
	var (
		parsing   parser.ErrorList
		compiling *goja.CompilerSyntaxError
	)
	switch {
	case errors.As(err, &parsing):
		for _, e := range parsing {
			mistakes = append(mistakes, run.Mistake{Line: e.Position.Line, Column: e.Position.Column, Text: syntaxError + e.Message})
		}
	case errors.As(err, &compiling) && compiling.File != nil:
		at := compiling.File.Position(compiling.Offset)
		mistakes = append(mistakes, run.Mistake{Line: at.Line, Column: at.Column, Text: syntaxError + compiling.Message})
	case err != nil:
		mistakes = append(mistakes, run.Mistake{Text: err.Error()})
	}
	return mistakes
}

// syntaxError begins what is said of errors of syntax.
const syntaxError = "SyntaxError: "

func (i *interpreter) Call(in pappus.Inputs, put run.Put) error {
	f, ok := goja.AssertFunction(i.vm.Get("run"))
	if !ok {
		return run.ErrNoRun
	}
	i.put = put
	_, err := f(goja.Undefined(), i.inputs(in))
	return told(err)
}

// told is an error with the script's stack.
func told(err error) error {
	var deep *goja.StackOverflowError
	if errors.As(err, &deep) {
		var text bytes.Buffer
		fmt.Fprintf(&text, "RangeError: more than %d calls are within each other: look for a recursion that has no end", maxDepth)
		for _, frame := range deep.Stack() {
			text.WriteString("\n\tat ")
			frame.Write(&text)
		}
		return errors.New(run.Shortened(text.String()))
	}
	var thrown *goja.Exception
	if errors.As(err, &thrown) {
		// Of what is no syntax it says so itself, and the interpreter again.
		return errors.New(strings.Replace(thrown.String(), syntaxError+syntaxError, syntaxError, 1))
	}
	return err
}

// inputs is an object with an array of items for each set.
func (i *interpreter) inputs(in pappus.Inputs) goja.Value {
	sets := i.vm.NewObject()
	for _, name := range slices.Sorted(maps.Keys(in)) {
		items := in[name]
		list := make([]any, len(items))
		for n, it := range items {
			o := i.vm.NewObject()
			i.set(o, "name", it.Name)
			i.set(o, "key", int64(it.Key))
			i.lazy(o, "text", func() goja.Value { return i.vm.ToValue(string(it.Data)) })
			i.lazy(o, "bytes", func() goja.Value { return i.bytes(it.Data) })
			list[n] = o
		}
		i.set(sets, name, i.vm.NewArray(list...))
	}
	return sets
}

// lazy defines a property that is made when it is first read.
func (i *interpreter) lazy(o *goja.Object, name string, value func() goja.Value) {
	var made goja.Value
	get := i.vm.ToValue(func(goja.FunctionCall) goja.Value {
		if made == nil {
			made = value()
		}
		return made
	})
	if err := o.DefineAccessorProperty(name, get, nil, goja.FLAG_FALSE, goja.FLAG_TRUE); err != nil {
		i.throw(i.vm.NewGoError(err))
	}
}

// bytes is a Uint8Array of bytes, which are not copied.
func (i *interpreter) bytes(b []byte) goja.Value {
	array, err := i.vm.New(i.uint8Array, i.vm.ToValue(i.vm.NewArrayBuffer(b)))
	if err != nil {
		i.throw(i.vm.NewGoError(err))
	}
	return array
}

// output is output(set, name, data, key).
func (i *interpreter) output(call goja.FunctionCall) goja.Value {
	item := pappus.Item{Name: call.Argument(1).String()}
	switch data := call.Argument(2).Export().(type) {
	case string:
		item.Data = []byte(data)
	case []byte:
		item.Data = data
	case goja.ArrayBuffer:
		item.Data = data.Bytes()
	default:
		i.throw(i.vm.NewTypeError("output: the data of %s is neither a string nor a Uint8Array nor an ArrayBuffer", item.Name))
	}
	if key := call.Argument(3); !goja.IsUndefined(key) {
		n := key.ToInteger()
		if n < 0 || n > 1<<32-1 {
			i.throw(i.vm.NewTypeError("output: the key of %s is not from 0 to 4294967295", item.Name))
		}
		item.Key = uint32(n)
	}
	i.put(call.Argument(0).String(), item)
	return goja.Undefined()
}
