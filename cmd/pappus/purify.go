package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/server/problem"
	"pappus/wasmengine"
)

func (c *commandLine) purifyCommand() *cobra.Command {
	var (
		p   purifying
		out string
	)
	cmd := &cobra.Command{
		Use:   "purify FILE",
		Short: "Make a pure function of a program that was built for WASI",
		Long: `Makes a module that imports nothing of a program that was linked for WASI preview
1, as Go (GOOS=wasip1), Rust, C, Zig and others build it. What the program asks of
the system is answered inside the module: files are items of the function's sets,
clocks and random numbers depend on nothing, sockets and threads are not there.

In the program, every input set is a directory /SET with a file for every item; what
lies in /SET of an output set at the end becomes its items. The set stdio gives
stdin, argv and environ, and takes stdout and stderr. Unless the program has a
manifest or flags say otherwise, its inputs are the sets stdio and input, its
outputs stdio and output.

A library with _initialize is initialised once, when it is registered, and every
call starts from there: that is the way to fast starts. Its entry is the export
"run", or the one that --entry names.

FILE and the result may be - for stdin and stdout. docs/purify.md says more.`,
		Example: `  pappus purify app.wasm
  pappus purify app.wasm -o out.wasm --memory 256MiB --input logs --output counts
  pappus purify lib.wasm --entry handle
  pappus run app.pure.wasm --raw text:'to be, or not to be'`,
		Args:              takes(1, 1),
		ValidArgsFunction: completeCode,
		RunE: func(_ *cobra.Command, args []string) error {
			code, err := c.readInspected(args[0])
			if err == nil {
				err = recognise(args[0], code)
			}
			if err != nil {
				return err
			}
			if code, err = p.purify(code); err != nil {
				return err
			}
			file := pureName(args[0], out)
			if err := c.writeModule(file, code); err != nil || file == sourceStdin {
				return err
			}
			return c.showPurified(file, code)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&out, "out", "o", "", "`FILE` to write (default: the program's name with .pure.wasm)")
	p.bind(flags)
	return cmd
}

// purifiedFile is what purify says of a module.
type purifiedFile struct {
	File    string         `json:"file"`
	Size    int            `json:"size"`
	Inputs  []engine.Param `json:"inputs"`
	Outputs []engine.Param `json:"outputs"`
}

func (c *commandLine) showPurified(file string, code []byte) error {
	eng, err := newEngine(wasmengine.Name)
	if err != nil {
		return err
	}
	known, err := eng.Inspect(code)
	if err := errors.Join(err, eng.Close()); err != nil {
		return err
	}
	sig := known.Manifest.Signature()
	if c.json {
		return c.printJSON(purifiedFile{file, len(code), orEmpty(sig.Inputs), orEmpty(sig.Outputs)})
	}
	_, err = fmt.Fprintf(c.stdout, "wrote %s: %s, (%s) => (%s)\n", oneLine(file), roughBytes(int64(len(code))),
		paramList(sig.Inputs, sig.Open), paramList(sig.Outputs, sig.Open))
	return err
}

// purifying is what flags say of making a program pure.
type purifying struct {
	entry     string
	manifest  string
	memory    engine.Limits
	signature signatureFlags
}

func (p *purifying) bind(flags *pflag.FlagSet) {
	flags.Var(&limitFlag{limits: &p.memory, name: "memory", typ: "SIZE"}, "memory", "size of its memory: program, inputs and outputs together (default: the manifest's memory limit, or 64MiB, or twice what it begins with)")
	flags.StringVar(&p.entry, "entry", "", "`NAME` of the export that a call runs (default: _start, or run)")
	flags.StringVar(&p.manifest, "manifest", "", "`FILE` with a manifest, whose members take the place of the program's own")
	p.signature.bind(flags)
}

// purify makes a pure function of a program.
func (p *purifying) purify(code []byte) ([]byte, error) {
	o := purify.Options{Memory: int64(p.memory.Memory), Entry: p.entry}
	if p.manifest != "" {
		var err error
		if o.Manifest, err = os.ReadFile(p.manifest); err != nil {
			return nil, err
		}
		if _, err := engine.ParseManifest(o.Manifest); err != nil {
			return nil, fail(exitFile, err, "correct the JSON in "+p.manifest)
		}
	}
	if p.signature.given() {
		if p.manifest != "" {
			return nil, usage("say it in the manifest", "--manifest excludes --input and --output")
		}
		sig, err := p.signature.signature()
		if err != nil {
			return nil, err
		}
		if o.Manifest, err = json.Marshal(map[string][]engine.Param{"inputs": sig.Inputs, "outputs": sig.Outputs}); err != nil {
			return nil, err
		}
	}
	out, err := purify.Purify(code, o)
	var refused *purify.Error
	if errors.As(err, &refused) {
		return nil, impureFailure(refused)
	}
	return out, err
}

func impureFailure(e *purify.Error) error {
	return &failure{Exit: exitRejected, Message: e.Reason, Kind: string(problem.RejectedModule), Hint: e.Hint, err: e}
}

// pureName is the file that a pure function is written to.
func pureName(in, out string) string {
	switch {
	case out != "":
		return out
	case in == sourceStdin:
		return sourceStdin
	}
	return strings.TrimSuffix(in, ".wasm") + ".pure.wasm"
}

// writeModule writes a module to a file, or to stdout.
func (c *commandLine) writeModule(path string, code []byte) error {
	if path != sourceStdin {
		return writeModule(path, code)
	}
	if isTerminal(c.stdout) {
		return usage("name a file with -o, or send it somewhere", "a module is no text for a terminal")
	}
	_, err := c.stdout.Write(code)
	return err
}
