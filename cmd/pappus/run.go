package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/data"
	"pappus/engine"
)

func (c *commandLine) runCommand() *cobra.Command {
	var (
		call      callFlags
		signature signatureFlags
		limits    limitFlags
	)
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a function's file here, without a server",
		Long: `Runs the function in FILE once, in this process, under the same rules and limits
as on a server, and prints what it gives as "pappus invoke" does.

` + inputHelp,
		Example: `  pappus run wordcount.wasm --in text=novel.txt
  pappus run wordcount.wasm --raw text:'to be or not to be' --stats
  pappus run new.wasm --input text --output counts --fuel 1000000 --in text=a.txt --json`,
		Args:              takes(1, 1),
		ValidArgsFunction: completeCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := call.check(c.json); err != nil {
				return err
			}
			code, name, err := readFunction(args[0])
			if err != nil {
				return err
			}
			eng, err := newEngine(name)
			if err != nil {
				return err
			}
			l := &localRun{file: args[0], engine: eng, code: code, signature: &signature, limits: limits.limits, call: &call}
			return errors.Join(l.run(cmd.Context(), c, cmd.ErrOrStderr()), eng.Close())
		},
	}
	call.bind(cmd.Flags())
	signature.bind(cmd.Flags())
	limits.bind(cmd.Flags())
	c.bindForm(cmd.Flags(), onlyJSON())
	c.bindQuiet(cmd.Flags(), "tell nothing of progress")
	return cmd
}

// localRun is one run of a file's code.
type localRun struct {
	file      string
	engine    engine.Engine
	code      []byte
	signature *signatureFlags
	limits    engine.Limits // zero: as the manifest says
	call      *callFlags
}

func (l *localRun) run(ctx context.Context, c *commandLine, stats io.Writer) (err error) {
	insp, err := l.engine.Inspect(l.code)
	if err != nil {
		return err
	}
	sig := insp.Manifest.Signature()
	if l.signature.given() {
		if sig, err = l.signature.signature(); err != nil {
			return err
		}
	}
	limits := l.limits.Or(insp.Manifest.Limits).Or(engine.DefaultLimits())
	if err := limits.Check(engine.MaxLimits()); err != nil {
		return usage("ask for less", "%w", err)
	}
	inputs, err := l.inputs(sig, c.stdin)
	if err != nil {
		return err
	}
	telling := c.startProgress(filepath.Base(l.file))
	telling.Say("preparing")
	defer telling.Stop()
	start := time.Now()
	program, err := l.engine.Prepare(ctx, l.code, sig, limits)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	prepared := time.Since(start)
	telling.Say("running")
	result, err := program.Run(ctx, inputs, limits)
	telling.Stop()
	if err != nil {
		return err
	}
	defer result.Release()
	if err := l.show(c, sig, &result); err != nil {
		return err
	}
	if l.call.stats {
		return printStats(stats, result.Usage.Fuel, map[string]time.Duration{"prepare": prepared, "run": result.Usage.Run}, "")
	}
	return nil
}

// inputs reads what --in and --raw say, and holds it to the signature as the
// server does.
func (l *localRun) inputs(sig engine.Signature, stdin io.Reader) ([]data.Set, error) {
	reader := inputReader{stdin: stdin}
	if l.call.raw != "" {
		open, size, err := reader.source(l.call.raw)
		if err != nil {
			return nil, err
		}
		in := input{open: open, size: size}
		in.set, in.name = rawTarget(sig)
		return l.sets(sig, []input{in})
	}
	inputs, err := reader.parse(l.call.in)
	if err != nil {
		return nil, err
	}
	return l.sets(sig, inputs)
}

// sets refuses inputs that the signature does not have.
func (l *localRun) sets(sig engine.Signature, inputs []input) ([]data.Set, error) {
	for _, in := range inputs {
		if !sig.Open && sig.Input(in.set) < 0 {
			f := &failure{Exit: exitRefused, Message: fmt.Sprintf("the function has no input set %q", in.set), Kind: "unknown-set", Hint: "use one of the sets that are declared"}
			for _, p := range sig.Inputs {
				f.Declared = append(f.Declared, p.Name)
			}
			return nil, f
		}
	}
	return sets(inputs)
}

// show prints the outputs as invoke prints a server's answer.
func (l *localRun) show(c *commandLine, sig engine.Signature, result *engine.Result) error {
	switch {
	case c.json:
		return writeJSON(c.stdout, result)
	case l.call.out != "":
		return writeItems(c.stdout, l.call.out, outputs(result.Outputs))
	}
	if item, ok := standardOutput(sig, result.Outputs); ok {
		if item == nil {
			return nil
		}
		_, err := c.stdout.Write(item.Bytes())
		return err
	}
	if item := onlyItem(result.Outputs); item != nil {
		_, err := c.stdout.Write(item.Bytes())
		return err
	}
	return showItems(c.stdout, outputs(result.Outputs))
}

// onlyItem is the only item of all sets, nil if there are none or several.
func onlyItem(outputs []data.Set) (only *data.Item) {
	for _, s := range outputs {
		for _, it := range s.Items {
			if only != nil {
				return nil
			}
			only = it
		}
	}
	return only
}

// standardOutput is what a program with a set stdio wrote to its standard
// output, nil if nothing; ok says that this is what the function gave: there
// are no items in any other set.
func standardOutput(sig engine.Signature, outputs []data.Set) (item *data.Item, ok bool) {
	stdio := sig.Output(stdioSet)
	if stdio < 0 {
		return nil, false
	}
	for _, s := range outputs {
		if s.Name != stdioSet {
			if len(s.Items) > 0 {
				return nil, false
			}
			continue
		}
		for _, it := range s.Items {
			if it.Name() == stdoutItem {
				item = it
			}
		}
	}
	return item, true
}

func outputs(sets []data.Set) iter.Seq2[client.Output, error] {
	return func(yield func(client.Output, error) bool) {
		for _, s := range sets {
			for _, it := range s.Items {
				if !yield(client.Output{Set: s.Name, Name: it.Name(), Key: it.Key(), Body: bytes.NewReader(it.Bytes())}, nil) {
					return
				}
			}
		}
	}
}

// writeJSON writes the outputs in the API's form, holding none of them twice.
func writeJSON(w io.Writer, result *engine.Result) error {
	b := bufio.NewWriter(w) // keeps the first error, which Flush returns
	_, _ = b.WriteString(`{"outputs":{`)
	for i, s := range result.Outputs {
		name, err := json.Marshal(s.Name)
		if err != nil {
			return err
		}
		if i > 0 {
			_ = b.WriteByte(',')
		}
		_, _ = fmt.Fprintf(b, "%s:[", name)
		for j, it := range s.Items {
			if j > 0 {
				_ = b.WriteByte(',')
			}
			if err := writeJSONItem(b, it); err != nil {
				return err
			}
		}
		_ = b.WriteByte(']')
	}
	_, _ = fmt.Fprintf(b, `},"usage":{"fuel":%d,"memory_pages":%d}}`+"\n", result.Usage.Fuel, result.Usage.MemoryPages)
	return b.Flush()
}

func writeJSONItem(b *bufio.Writer, it *data.Item) error {
	name, err := json.Marshal(it.Name())
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b, `{"name":%s,"key":%d,"data":"`, name, it.Key())
	enc := base64.NewEncoder(base64.StdEncoding, b)
	if _, err := enc.Write(it.Bytes()); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err = b.WriteString(`"}`)
	return err
}
