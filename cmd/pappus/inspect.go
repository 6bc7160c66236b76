package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

func (c *commandLine) inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect REF|FILE",
		Short: "Show what is known of a function, or of a file before it is pushed",
		Long: `Shows the signature, limits and digests of a function on the server, or of the
code in a file, which is checked as the server would check it. What has a / in it
or ends in .wasm is a file.`,
		Example: `  pappus inspect wordcount@2
  pappus inspect ./wordcount.wasm`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeFunctionsAndCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			if isFile(args[0]) {
				return c.inspectFile(args[0])
			}
			if err := c.reference(args[0]); err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			f, err := cl.GetFunction(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v := versionView()
			v.text = printFunction
			return showOne(c, v, *f)
		},
	}
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print NAME@VERSION only")
	return cmd
}

// isFile reports whether an argument means a file: no reference has a slash,
// and ".wasm" is no end of one that anybody would choose.
func isFile(arg string) bool {
	return strings.ContainsRune(arg, os.PathSeparator) || strings.HasSuffix(arg, ".wasm")
}

func (c *commandLine) inspectFile(path string) (err error) {
	code, err := readCode(path)
	if err != nil {
		return err
	}
	wasm, err := wasmengine.New(wasmConfig())
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := wasm.Close(); err == nil {
			err = closeErr
		}
	}()
	insp, err := wasm.Inspect(code)
	if err != nil {
		return err
	}
	sig := insp.Manifest.Signature()
	limits := insp.Manifest.Limits.Or(engine.DefaultLimits())
	digest := data.Sum(code)
	return showOne(c, fileView(), inspectedFile{
		path, wasm.Name(), digest.String(), len(code), insp.Manifest.Description,
		sig.Inputs, sig.Outputs, sig.Open, limits, insp.Layout, insp.Memory, insp.Exports,
	})
}

// inspectedFile is what inspect prints of a file.
type inspectedFile struct {
	File        string         `json:"file"`
	Engine      string         `json:"engine"`
	CodeDigest  string         `json:"code_digest"`
	Size        int            `json:"size"`
	Description string         `json:"description,omitempty"`
	Inputs      []engine.Param `json:"inputs"`
	Outputs     []engine.Param `json:"outputs"`
	Open        bool           `json:"open,omitempty"`
	Limits      engine.Limits  `json:"limits"`
	Layout      string         `json:"layout,omitempty"`
	Memory      int64          `json:"initial_memory"`
	Exports     []string       `json:"exports"`
}

func fileView() *view[inspectedFile] {
	return &view[inspectedFile]{
		name: func(f inspectedFile) string { return f.File },
		columns: []column[inspectedFile]{
			{title: "FILE", value: func(f inspectedFile) string { return f.File }},
			{title: "ENGINE", value: func(f inspectedFile) string { return f.Engine }},
			{title: "SIZE", value: func(f inspectedFile) string { return roughBytes(int64(f.Size)) }},
			{title: "INPUTS", value: func(f inspectedFile) string { return paramList(f.Inputs, f.Open) }},
			{title: "OUTPUTS", value: func(f inspectedFile) string { return paramList(f.Outputs, f.Open) }},
			{title: "CODE", only: formWide, value: func(f inspectedFile) string { return f.CodeDigest }},
		},
		text: func(w io.Writer, f inspectedFile) error {
			l := f.Limits
			return printRows(w, []row{
				{"file", f.File},
				{"engine", f.Engine},
				{"code", fmt.Sprintf("%s (%s)", f.CodeDigest, countBytes(int64(f.Size)))},
				{"about", f.Description},
				{"inputs", paramList(f.Inputs, f.Open)},
				{"outputs", paramList(f.Outputs, f.Open)},
				{"limits", limitList(l.Memory.String(), l.Stack.String(), l.Output.String(), l.Timeout.String(), l.Items, l.Fuel)},
				{"layout", f.Layout},
				{"memory", countBytes(f.Memory) + " at first"},
				{"exports", strings.Join(f.Exports, ", ")},
			})
		},
	}
}

func printFunction(w io.Writer, f client.Function) error {
	return printRows(w, []row{
		{"name", f.Name},
		{"version", fmt.Sprint(f.Version)},
		{"tags", tagsOf(f)},
		{"digest", f.Digest},
		{"engine", f.Engine},
		{"code", fmt.Sprintf("%s (%s)", f.CodeDigest, countBytes(f.Size))},
		{"about", f.Description},
		{"inputs", paramList(f.Inputs, f.Open)},
		{"outputs", paramList(f.Outputs, f.Open)},
		{"limits", limitList(f.Limits.Memory, f.Limits.Stack, f.Limits.Output, f.Limits.Timeout, f.Limits.Items, f.Limits.Fuel)},
		{"layout", f.Layout},
		{"memo", f.Memo},
		{"created", f.Created.Local().Format(time.RFC3339)},
	})
}

// row is a line of a description; those without a value are left out.
type row struct{ name, value string }

func printRows(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.value != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", r.name, oneLine(r.value)) // Flush has the error
		}
	}
	return table.Flush()
}

func limitList(memory, stack, output, timeout string, items int, fuel int64) string {
	list := fmt.Sprintf("memory %s, stack %s, output %s, items %d, timeout %s", memory, stack, output, items, timeout)
	if fuel > 0 {
		list += fmt.Sprintf(", fuel %d", fuel)
	}
	return list
}

// paramList spells a side of a signature as the flags do.
func paramList[P engine.Param | client.Param](params []P, open bool) string {
	var list []string
	for _, p := range params {
		param := client.Param(p)
		if param.Type == engine.TypeItem {
			param.Name += "/" + engine.TypeItem
		}
		list = append(list, param.Name)
	}
	if len(list) == 0 && open {
		return "any"
	}
	return strings.Join(list, ", ")
}

func countBytes(n int64) string {
	if b := engine.Bytes(n); n >= 1<<10 && n%(1<<10) == 0 {
		return b.String()
	}
	return fmt.Sprintf("%d bytes", n)
}

// codeLimit is the largest file that run and inspect read.
const codeLimit = 64 << 20

// readCode reads a file of code.
func readCode(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, codeLimit+1))
	if err != nil {
		return nil, err
	}
	if len(code) > codeLimit {
		return nil, fail(exitFile, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %s", engine.Bytes(codeLimit))}, "build a smaller module")
	}
	return code, nil
}
