package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pappus/cases"
	"pappus/chericapengine"
	"pappus/engine"
	"pappus/sdk/toolchain"
)

func (c *commandLine) testCommand() *cobra.Command {
	var (
		folder string
		update bool
		made   engineFlag
	)
	cmd := &cobra.Command{
		Use:   "test [FOLDER|FILE]",
		Short: "Build a function and run its cases",
		Long: `Builds the function whose source code is in FOLDER (default: this one), or in
FILE, and runs its cases here, under the rules and limits of a server that has the
defaults. FILE can be a module, WebAssembly or native (ELF), which is taken as it
is; so is the only module of a folder without source code. --engine chericap builds
native code instead, as "pappus build" does, and runs that.

A case is a folder cases/NAME with inputs in/SET/ITEM, outputs out/SET/ITEM, and
case.json if it must fail or has keys or limits of its own. What a case gives and
should not is shown as differences: lines with - should be there, those with + are.
--update makes what the cases give what they should.

"pappus verify" runs cases on a second engine too.`,
		Example: `  pappus test hello
  pappus test hello --engine chericap
  pappus test samples/wordcount/wordcount.wasm
  pappus test samples/wordcount/wordcount.elf`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := made.check(); err != nil {
				return err
			}
			t, err := c.openTested(cmd.Context(), folderOf(args), made, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if name := engineOf(t.module); cmd.Flags().Changed("engine") && name != made.name {
				return usage("leave --engine out, or name source code", "--engine %s: %s is code for %s", made.name, t.file, name)
			}
			if folder == "" {
				folder = filepath.Join(t.dir, casesFolder)
			}
			list, err := readCases(folder)
			if err != nil {
				return err
			}
			report, err := c.test(cmd.Context(), t, folder, list, update)
			if err != nil {
				return err
			}
			if err := showOne(c, &view[testedFile]{text: c.showTested}, report); err != nil {
				return err
			}
			if report.Failed > 0 {
				return fail(exitDiffers, fmt.Errorf("%d of %d cases fail", report.Failed, len(list)), "correct the function or the cases; pappus test --update takes what it gives for right")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&folder, "cases", "", "`FOLDER` of the cases (default: cases beside the source)")
	made.bind(flags)
	flags.BoolVar(&update, "update", false, "write what the function gives into the cases that fail")
	c.bindForm(flags, plainForms)
	c.bindQuiet(flags, "show only cases that fail, in every form, and no progress")
	return cmd
}

// tested is a module whose cases are run.
type tested struct {
	dir, file string // what was named; file: as it is shown
	module    []byte
}

// openTested builds what a path names, or reads it if it is a module.
func (c *commandLine) openTested(ctx context.Context, path string, made engineFlag, stderr io.Writer) (*tested, error) {
	if isModule(path) {
		return readTested(path)
	}
	p, err := openProject(path)
	if err != nil {
		return nil, err
	}
	var unknown *toolchain.UnknownError
	if _, err := toolchain.LanguageOf(p); errors.As(err, &unknown) && len(unknown.Languages) == 0 {
		inFolder := func(f string) bool { return strings.Contains(f, "/") }
		modules := slices.DeleteFunc(p.With(suffixOf(made.name)), inFolder)
		if len(modules) == 0 && !made.native() {
			modules = slices.DeleteFunc(p.With(suffixOf(chericapengine.Name)), inFolder)
		}
		if len(modules) == 1 {
			return readTested(filepath.Join(path, modules[0]))
		}
	}
	b, err := c.newBuilder()
	if err != nil {
		return nil, err
	}
	built, err := c.build(ctx, b, p, toolchain.Options{Native: made.native()}, stderr)
	if err != nil {
		return nil, err
	}
	return &tested{p.Dir, path, built.Module}, nil
}

// isModule tells, by name or beginning, of files that are no source code.
func isModule(path string) bool {
	if strings.HasSuffix(path, ".wasm") || strings.HasSuffix(path, ".elf") {
		return true
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	_, begins, err := peek(func() (io.ReadCloser, error) { return os.Open(path) })
	return err == nil && engineOf(begins) != ""
}

func readTested(path string) (*tested, error) {
	module, _, err := readFunction(path)
	return &tested{filepath.Dir(path), path, module}, err
}

// testedFile is what test found out of a module.
type testedFile struct {
	File    string       `json:"file"`
	Cases   []testedCase `json:"cases"`
	OK      int          `json:"ok"`
	Failed  int          `json:"failed"`
	Updated int          `json:"updated,omitempty"`
}

// testedCase is what test found out of a case.
type testedCase struct {
	Name        string   `json:"name"`
	Result      string   `json:"result"` // ok, failed, updated
	Expected    string   `json:"expected"`
	End         string   `json:"end,omitempty"`
	Fuel        int64    `json:"fuel"`
	MemoryPages int64    `json:"memory_pages"`
	Why         string   `json:"why,omitempty"`
	Items       []string `json:"items,omitempty"` // SET/ITEM of those that differ
	Stack       []string `json:"stack,omitempty"`
	Stderr      string   `json:"stderr,omitempty"`
	Hint        string   `json:"hint,omitempty"`

	changes []cases.Change
}

// caseUpdated is the result of a case that --update has changed.
const caseUpdated = "updated"

// test runs the cases of a module.
func (c *commandLine) test(ctx context.Context, t *tested, folder string, list []*cases.Case, update bool) (report testedFile, err error) {
	report = testedFile{File: t.file, Cases: []testedCase{}}
	eng, err := newEngine(engineOf(t.module)) //nolint:contextcheck // what it does takes no time that anybody would stop
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	r, err := newCaseRunner(eng, t.module)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p := c.startProgress("testing")
	defer p.Stop()
	for i, one := range list {
		p.Say(harmless(fmt.Sprintf("case %d of %d, %s", i+1, len(list), one.Name)))
		result, outcome, err := r.run(ctx, one)
		if err != nil {
			return report, err
		}
		if update && result.Result == caseFailed && outcome != nil {
			if err := updateCase(folder, one.Name, outcome); err != nil {
				return report, err
			}
			result = testedCase{Name: one.Name, Result: caseUpdated, Expected: one.End(), End: outcome.End(), Fuel: result.Fuel, MemoryPages: result.MemoryPages}
		}
		switch result.Result {
		case caseOK:
			report.OK++
		case caseFailed:
			report.Failed++
		case caseUpdated:
			report.Updated++
		}
		if !c.quiet || result.Result == caseFailed {
			report.Cases = append(report.Cases, result)
		}
	}
	return report, nil
}

// updateCase writes what a case gave.
func updateCase(folder, name string, o *cases.Outcome) error {
	if o.Fault != nil && !o.Fault.Kind.Deterministic() {
		return fail(exitFault, fmt.Errorf("case %s: %w", name, o.Fault), "it would not end so every time, so that it is no case; give it less to do, or a limit of fuel in case.json")
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	err = errors.Join(cases.Update(root, name, o), root.Close())
	if err != nil {
		return fail(exitFile, err, "check that you may write there; give items of one set different names")
	}
	return nil
}

// caseRunner runs cases of one module, which it compiles once for all that have
// the same limits.
type caseRunner struct {
	known    engine.Inspection
	programs *programs
}

func newCaseRunner(eng engine.Engine, module []byte) (*caseRunner, error) {
	known, err := eng.Inspect(module)
	return &caseRunner{known, newPrograms(eng, module, known.Manifest.Signature())}, err
}

func (r *caseRunner) close() error { return r.programs.close() }

// run runs one case. There is no outcome if it does not fit the function. Errors
// are those that keep it from being run at all.
func (r *caseRunner) run(ctx context.Context, c *cases.Case) (testedCase, *cases.Outcome, error) {
	result := testedCase{Name: c.Name, Result: caseFailed, Expected: c.End()}
	sig := r.known.Manifest.Signature()
	var form *cases.FormError
	if err := c.Fits(sig); errors.As(err, &form) {
		result.Why, result.Hint = form.Error(), form.Hint
		return result, nil, nil
	}
	lim := c.Limits.Or(r.known.Manifest.Limits).Or(engine.DefaultLimits())
	if err := lim.Check(engine.MaxLimits()); err != nil {
		return result, nil, usage("ask for less, in case.json or in the function's manifest", "case %s: %w", c.Name, err)
	}
	p, err := r.programs.with(ctx, lim)
	if err != nil {
		return result, nil, err
	}
	o, err := c.Run(ctx, p, lim)
	switch {
	case err != nil:
		return result, nil, err
	case o.Fault != nil && o.Fault.Kind == engine.FaultCanceled:
		return result, nil, cmp.Or(ctx.Err(), error(o.Fault))
	}
	result.End, result.Fuel, result.MemoryPages = o.End(), o.Usage.Fuel, o.Usage.MemoryPages
	d := c.Differs(o)
	if d == nil {
		result.Result = caseOK
		return result, o, nil
	}
	result.Why = d.String()
	if f := o.Fault; f != nil {
		shown := failureOf(f)
		result.Stack, result.Stderr, result.Hint = shown.Stack, shown.Stderr, styled(shown.Hint)
	} else if c.Fault == "" {
		result.changes = c.Changes(o.Outputs)
		for _, change := range result.changes {
			result.Items = append(result.Items, change.Set+"/"+change.Item)
		}
	}
	return result, o, nil
}

// showTested prints what came of the cases, and where they failed what is wrong.
func (c *commandLine) showTested(w io.Writer, report testedFile) error {
	t := newTable("CASE", "RESULT", "END", "FUEL", "PAGES", "WHY")
	for _, r := range report.Cases {
		fuel, pages := "", ""
		if r.End != "" {
			fuel, pages = fmt.Sprint(r.Fuel), fmt.Sprint(r.MemoryPages)
		}
		t.add(r.Name, r.Result, r.End, fuel, pages, r.Why)
	}
	if len(report.Cases) > 0 {
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	for _, r := range report.Cases {
		if err := c.showWrong(w, &r); err != nil {
			return err
		}
	}
	if c.quiet {
		return nil
	}
	text := fmt.Sprintf("%d ok, %d failed", report.OK, report.Failed)
	if report.Updated > 0 {
		text += fmt.Sprintf(", %d updated", report.Updated)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// showWrong prints what a table has no room for.
func (c *commandLine) showWrong(w io.Writer, r *testedCase) error {
	if r.Result != caseFailed {
		return nil
	}
	b := &strings.Builder{}
	for _, change := range r.changes {
		writeChange(b, &change)
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(b, "  %s:\n", title)
		}
		for _, line := range lines {
			fmt.Fprintf(b, "    %s\n", oneLine(line))
		}
	}
	list("stack", r.Stack)
	if r.Stderr != "" {
		list("stderr", strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n"))
	}
	if r.Hint != "" {
		fmt.Fprintf(b, "  hint: %s\n", oneLine(r.Hint))
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s:\n%s", oneLine(r.Name), b)
	if err == nil {
		_, err = io.WriteString(w, "\n")
	}
	return err
}
