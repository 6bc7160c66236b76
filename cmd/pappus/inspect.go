package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pappus/chericapengine"
	"pappus/client"
	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/problem"
	"pappus/wasmengine"
)

func (c *commandLine) inspectCommand() *cobra.Command {
	var show inspection
	cmd := &cobra.Command{
		Use:   "inspect REF|FILE",
		Short: "Show what is known of a function or composition, or of a file before it is pushed",
		Long: `Shows all that can be known of the code in FILE, or of a function on the server
and its code: signature, limits and digests, imports and exports, memory, features,
what its calls can take of the stack, and its functions, the largest first. The
code is looked at here, by the rules of a server that has the defaults.

Of a file that a server would refuse, all reasons are shown, each with what to do,
and the exit code is 5. One that would not be refused is compiled, initialised and
called once on empty inputs, isolated like any function; with --no-run it is only
compiled.
docs/inspect.md says how to read the rest. Of native code the entry, segments and
symbols are shown, and nothing is run. Of a composition its source is shown, and
what it applies.

What has a / in it, begins with a dot, ends in .wasm, .elf or .wat, or is - (standard
input) is a file.`,
		Example: `  pappus inspect wordcount@2
  pappus inspect ./wordcount.wasm
  pappus inspect ./wordcount.elf
  pappus inspect wordcount.wasm --functions 50 --no-run
  pappus inspect wordcount -o json`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeFunctionsAndCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			if show.functions < 0 {
				return usage("--functions takes a number from 0 on", "--functions: %d is negative", show.functions)
			}
			if isFile(args[0]) {
				return c.inspectFile(cmd.Context(), args[0], show)
			}
			if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
				c.alsoFile = args[0]
			}
			if err := c.reference(args[0]); err != nil {
				return err
			}
			return c.inspectFunction(cmd.Context(), args[0], show)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&show.functions, "functions", 10, "how many functions of the code to list")
	flags.BoolVar(&show.all, "all", false, "list everything, however long")
	flags.BoolVar(&show.noRun, "no-run", false, "don't run any of the code")
	flags.BoolVar(&show.noCode, "no-code", false, "of a function on the server: its record only")
	c.bindForm(flags, allForms)
	c.bindQuiet(flags, "print the file, or NAME@VERSION, only")
	return cmd
}

// inspection is what of a module is to be found out and shown.
type inspection struct {
	functions          int
	all, noRun, noCode bool
}

// isFile reports whether an argument means a file: no reference has a slash or
// begins with a dot, and ".wasm" is no end of one that anybody would choose.
func isFile(arg string) bool {
	return arg == "-" || strings.HasPrefix(arg, ".") || strings.ContainsRune(arg, os.PathSeparator) || strings.HasSuffix(arg, ".wasm") || strings.HasSuffix(arg, ".elf") || strings.HasSuffix(arg, ".wat")
}

func (c *commandLine) inspectFile(ctx context.Context, path string, show inspection) error {
	code, err := c.readInspected(path)
	if err != nil {
		return err
	}
	if engineOf(code) == chericapengine.Name {
		return c.inspectNative(path, code)
	}
	if err := recognise(path, code); err != nil {
		return err
	}
	r, err := reportOn(ctx, code, wasmengine.ReportOptions{NoRun: show.noRun})
	if err != nil {
		return err
	}
	f := inspectedFile{
		path, wasmengine.Name, data.Sum(code).String(), len(code), r.Manifest.Description,
		orEmpty(r.Signature.Inputs), orEmpty(r.Signature.Outputs), r.Signature.Open, r.Limits, r.Layout, r.Manifest.Memo, reportOf(r),
	}
	err = showOne(c, fileView(r, show), f)
	if err == nil && len(r.Refusals) > 0 {
		return r.Refusals[0]
	}
	return err
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
	Memo        string         `json:"memo,omitempty"`
	moduleReport
}

func fileView(r *wasmengine.Report, show inspection) *view[inspectedFile] {
	return &view[inspectedFile]{
		name: func(f inspectedFile) string { return f.File },
		columns: []column[inspectedFile]{
			{title: "FILE", value: func(f inspectedFile) string { return f.File }},
			{title: "ACCEPTED", value: func(f inspectedFile) string { return strconv.FormatBool(f.Accepted) }},
			{title: "ENGINE", value: func(f inspectedFile) string { return f.Engine }},
			{title: "SIZE", value: func(f inspectedFile) string { return roughBytes(int64(f.Size)) }},
			{title: "INPUTS", value: func(f inspectedFile) string { return paramList(f.Inputs, f.Open) }},
			{title: "OUTPUTS", value: func(f inspectedFile) string { return paramList(f.Outputs, f.Open) }},
			{title: "CODE", only: formWide, value: func(f inspectedFile) string { return f.CodeDigest }},
		},
		text: func(w io.Writer, f inspectedFile) error {
			head := []row{
				{"file", f.File},
				{"engine", f.Engine},
				{"code", fmt.Sprintf("%s (%s)", f.CodeDigest, countBytes(int64(f.Size)))},
				{"about", f.Description},
			}
			if !f.Broken { // the manifest, which says this, is most often at the end
				l := f.Limits
				head = append(head,
					row{"inputs", paramList(f.Inputs, f.Open)},
					row{"outputs", paramList(f.Outputs, f.Open)},
					row{"limits", limitList(l.Memory.String(), l.Stack.String(), l.Output.String(), l.Timeout.String(), l.Items, l.Fuel)},
					row{"layout", f.Layout},
					row{"memo", f.Memo})
			}
			return printReport(w, head, r, show)
		},
	}
}

func (c *commandLine) inspectFunction(ctx context.Context, ref string, show inspection) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	one, err := callable(ctx, cl, ref)
	if err != nil {
		return err
	}
	if one.Kind == registry.KindIO {
		return showOne(c, ioFunctionView(), inspectedIOFunction{one.Name, one.Kind, one.Inputs, one.Outputs})
	}
	const most = 100 // versions that are counted
	versions, err := versionsOf(cl, one.Name)(ctx, "", most)
	if err != nil {
		return err
	}
	count := fmt.Sprint(len(versions.items))
	if versions.next != "" {
		count += " or more"
	}
	if one.composition != nil {
		return showOne(c, compositionView(count), inspectedComposition{*one.composition, one.Kind, len(versions.items), versions.next != ""})
	}
	f := &one.Function
	var (
		r      *wasmengine.Report
		native *nativeReport
	)
	if _, wasm := f.Code[wasmengine.Name]; wasm && !show.noCode {
		if r, err = reportOnFunction(ctx, cl, f, show); err != nil {
			return err
		}
	}
	if !show.noCode {
		if native, err = nativeOf(ctx, cl, f); err != nil {
			return err
		}
	}
	out := inspectedFunction{Kind: one.Kind, Function: *f, Versions: len(versions.items), More: versions.next != "", Native: native}
	if r != nil {
		report := reportOf(r)
		out.Report = &report
	}
	return showOne(c, functionView(r, native, count, show), out)
}

// inspectedFunction is what inspect prints of a function.
type inspectedFunction struct {
	client.Function
	Kind     registry.Kind `json:"kind"`
	Versions int           `json:"versions"`
	More     bool          `json:"more_versions,omitempty"` // than were counted
	Report   *moduleReport `json:"report,omitempty"`
	Native   *nativeReport `json:"native,omitempty"`
}

func functionView(r *wasmengine.Report, native *nativeReport, count string, show inspection) *view[inspectedFunction] {
	of := versionView()
	v := &view[inspectedFunction]{
		name: func(f inspectedFunction) string { return of.name(functionEntry(&f.Function)) },
		text: func(w io.Writer, f inspectedFunction) error {
			var err error
			if r == nil {
				err = printRows(w, functionRows(&f.Function, count))
			} else {
				err = printReport(w, functionRows(&f.Function, count), r, show)
			}
			if err != nil || native == nil {
				return err
			}
			return printNative(w, &f.Function, native)
		},
	}
	for _, col := range of.columns {
		v.columns = append(v.columns, column[inspectedFunction]{col.title, col.only, func(f inspectedFunction) string { return col.value(functionEntry(&f.Function)) }})
	}
	return v
}

// inspectedComposition is what inspect prints of a composition.
type inspectedComposition struct {
	client.Composition
	Kind     registry.Kind `json:"kind"`
	Versions int           `json:"versions"`
	More     bool          `json:"more_versions,omitempty"` // than were counted
}

func compositionView(count string) *view[inspectedComposition] {
	of := versionView()
	v := &view[inspectedComposition]{
		name: func(c inspectedComposition) string { return of.name(compositionEntry(&c.Composition)) },
		text: func(w io.Writer, c inspectedComposition) error {
			if err := printRows(w, compositionRows(&c.Composition, count)); err != nil {
				return err
			}
			_, err := fmt.Fprintf(w, "\n%s\n", strings.TrimSuffix(c.Source, "\n"))
			return err
		},
	}
	for _, col := range of.columns {
		v.columns = append(v.columns, column[inspectedComposition]{col.title, col.only, func(c inspectedComposition) string {
			return col.value(compositionEntry(&c.Composition))
		}})
	}
	return v
}

// inspectedIOFunction is what inspect prints of an I/O function.
type inspectedIOFunction struct {
	Name    string         `json:"name"`
	Kind    registry.Kind  `json:"kind"`
	Inputs  []client.Param `json:"inputs"`
	Outputs []client.Param `json:"outputs"`
}

func ioFunctionView() *view[inspectedIOFunction] {
	name := func(f inspectedIOFunction) string { return f.Name }
	inputs := func(f inspectedIOFunction) string { return paramList(f.Inputs, false) }
	outputs := func(f inspectedIOFunction) string { return paramList(f.Outputs, false) }
	return &view[inspectedIOFunction]{
		name: name,
		columns: []column[inspectedIOFunction]{
			{title: "NAME", value: name}, {title: "KIND", value: func(f inspectedIOFunction) string { return string(f.Kind) }}, {title: "INPUTS", value: inputs}, {title: "OUTPUTS", value: outputs},
		},
		text: func(w io.Writer, f inspectedIOFunction) error {
			return printRows(w, []row{{"name", f.Name}, {"kind", string(f.Kind)}, {"inputs", inputs(f)}, {"outputs", outputs(f)}, {"about", "a part of the server; docs/io.md describes it"}})
		},
	}
}

func compositionRows(c *client.Composition, versions string) []row {
	rows := []row{
		{"name", c.Name},
		{"kind", string(registry.KindComposition)},
		{"version", fmt.Sprint(c.Version)},
		{"versions", versions},
		{"tags", tagsOf(c.Tags, c.Version)},
		{"digest", c.Digest},
		{"inputs", paramList(c.Inputs, false)},
		{"outputs", paramList(c.Outputs, false)},
		{"created", c.Created.Local().Format(time.RFC3339)},
		{"broken", c.Broken},
	}
	for _, u := range c.Uses {
		rows = append(rows, row{"applies", fmt.Sprintf("%s (%s) => (%s)", u.Ref, paramList(u.Inputs, u.Open), paramList(u.Outputs, u.Open))})
	}
	return rows
}

// fetchCode fetches a function's code for an engine, and holds it to its digest.
func fetchCode(ctx context.Context, cl *client.Client, f *client.Function, name string) (code []byte, err error) {
	ref := f.Code[name]
	body, err := cl.CodeFor(ctx, f.Name+"@"+strconv.FormatInt(f.Version, 10), name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if code, err = io.ReadAll(io.LimitReader(body, ref.Size+1)); err != nil {
		return nil, err
	}
	if digest := data.Sum(code).String(); digest != ref.Digest {
		return nil, fail(exitInternal, fmt.Errorf("the code of %s that came has the digest %s, and not %s", f.Name, digest, ref.Digest),
			"something between here and the server changes it; see the record alone with --no-code")
	}
	return code, nil
}

// reportOnFunction fetches a function's code and looks at it under the
// signature and limits that the function was registered with.
func reportOnFunction(ctx context.Context, cl *client.Client, f *client.Function, show inspection) (r *wasmengine.Report, err error) {
	if size := f.Code[wasmengine.Name].Size; size > codeLimit {
		return nil, fail(exitFile, fmt.Errorf("the code of %s has %d bytes, more than %s", f.Name, size, engine.Bytes(codeLimit)), "see its record alone with --no-code")
	}
	code, err := fetchCode(ctx, cl, f, wasmengine.Name)
	if err != nil {
		return nil, err
	}
	opts := wasmengine.ReportOptions{NoRun: show.noRun, Signature: &engine.Signature{Open: f.Open}}
	for _, p := range f.Inputs {
		opts.Signature.Inputs = append(opts.Signature.Inputs, engine.Param(p))
	}
	for _, p := range f.Outputs {
		opts.Signature.Outputs = append(opts.Signature.Outputs, engine.Param(p))
	}
	text, err := json.Marshal(f.Limits)
	if err == nil {
		err = json.Unmarshal(text, &opts.Limits) // they are written alike
	}
	if err != nil {
		return nil, fmt.Errorf("limits of %s: %w", f.Name, err)
	}
	return reportOn(ctx, code, opts)
}

func reportOn(ctx context.Context, code []byte, opts wasmengine.ReportOptions) (r *wasmengine.Report, err error) {
	wasm, err := wasmengine.New(wasmConfig()) //nolint:contextcheck // what it does takes no time that anybody would stop
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, wasm.Close()) }()
	return wasm.Report(ctx, code, opts)
}

// recognise refuses what is not WebAssembly, and says what it is. The beginning
// of the code is enough.
func recognise(path string, code []byte) error {
	file := path
	if path == sourceStdin {
		path, file = "standard input", "FILE"
	}
	what, hint := "it does not begin like one", "build the program for WebAssembly (wasm32), and give the .wasm file"
	text := bytes.TrimLeft(code[:min(len(code), 1<<10)], " \t\r\n")
	switch {
	case bytes.HasPrefix(code, []byte(wasmMagic)):
		return nil
	case len(code) == 0:
		what, hint = "it is empty", "build it again, and give the .wasm file"
	case bytes.HasPrefix(code, []byte("\x7fELF")):
		what, hint = "it is native code (ELF)", "run it with: pappus run "+file+", or push it as it is; this is for WebAssembly only"
	case bytes.HasPrefix(code, []byte("#!")):
		what = "it is a script"
	case bytes.HasPrefix(text, []byte("(")), bytes.HasPrefix(text, []byte(";;")):
		what, hint = "it is WebAssembly text", fmt.Sprintf("convert it with: wat2wasm %s (of wabt), or wasm-tools parse %[1]s -o FILE.wasm", file)
	case composition.Begins(string(code[:min(len(code), composition.MaxSource)])):
		what, hint = "it is a composition", fmt.Sprintf("register it with: pappus compose push %s", path)
		if path != file {
			hint = "register it with: pappus compose push -"
		}
	case compressed(code):
		what, hint = "it is compressed", "decompress it first"
	}
	err := fmt.Errorf("%s is no WebAssembly module: %s", path, what)
	return &failure{Exit: exitRejected, Message: err.Error(), Kind: string(problem.UnknownCode), Hint: hint, err: err}
}

// compressed tells of the beginning of what gzip or zstd made.
func compressed(code []byte) bool {
	return bytes.HasPrefix(code, []byte("\x1f\x8b")) || bytes.HasPrefix(code, []byte("\x28\xb5\x2f\xfd"))
}

func functionRows(f *client.Function, versions string) []row {
	return []row{
		{"name", f.Name},
		{"version", fmt.Sprint(f.Version)},
		{"versions", versions},
		{"tags", tagsOf(f.Tags, f.Version)},
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
	}
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
	if n >= 1<<10 && n%(1<<10) == 0 {
		return engine.Bytes(n).Long()
	}
	return countOf(int(n), "byte")
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
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fail(exitFile, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}, "name the .wasm file in it")
	}
	return readAll(path, f)
}

// readFunction is readCode for what must be code that an engine here takes, whose
// name it tells.
func readFunction(path string) (code []byte, name string, err error) {
	if code, err = readCode(path); err != nil {
		return nil, "", err
	}
	if name = engineOf(code); name == "" {
		err = recognise(path, code)
	}
	return code, name, err
}

// engineOf is the engine for code, by its beginning; "" if there is none.
func engineOf(code []byte) string {
	switch {
	case bytes.HasPrefix(code, []byte(wasmMagic)):
		return wasmengine.Name
	case bytes.HasPrefix(code, []byte("\x7fELF")):
		return chericapengine.Name
	default:
		return ""
	}
}

// newEngine makes the engine of that name.
func newEngine(name string) (engine.Engine, error) {
	if name == chericapengine.Name {
		return chericapengine.New(chericapengine.Config{})
	}
	return wasmengine.New(wasmConfig())
}

// readInspected is readCode, or reads standard input.
func (c *commandLine) readInspected(path string) ([]byte, error) {
	if path == "-" {
		return readAll(path, c.stdin)
	}
	return readCode(path)
}

func readAll(path string, r io.Reader) ([]byte, error) {
	code, err := io.ReadAll(io.LimitReader(r, codeLimit+1))
	if err != nil {
		return nil, err
	}
	if len(code) > codeLimit {
		return nil, fail(exitFile, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %s", engine.Bytes(codeLimit))},
			"build a smaller module: without debug information, with size optimisation (-Os)")
	}
	return code, nil
}
