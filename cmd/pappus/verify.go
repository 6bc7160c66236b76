package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"pappus/cases"
	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

// casesFolder is where the cases of a module are, beside it.
const casesFolder = "cases"

func (c *commandLine) verifyCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Run a function's cases on two engines and compare what they give",
		Long: `Runs every case of the function in FILE twice: as compiled code, as a server
does, and in an interpreter. Outputs and faults must be what the case says, and
outputs, faults and fuel of the two the same. A case that fails as compiled code
is not interpreted.

A case is a folder cases/NAME beside FILE, with inputs in/SET/ITEM, outputs
out/SET/ITEM, and case.json if it must fail or has keys or limits of its own.
The interpreter is slow, and can't follow calls that nest 2,000 deep: such cases
are "not comparable", and run compiled only.`,
		Example: `  pappus verify samples/wordcount/wordcount.wasm
  pappus verify new.wasm --cases tests --json`,
		Args:              takes(1, 1),
		ValidArgsFunction: completeCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			code, err := readModule(args[0])
			if err != nil {
				return err
			}
			if folder == "" {
				folder = filepath.Join(filepath.Dir(args[0]), casesFolder)
			}
			list, err := readCases(folder)
			if err != nil {
				return err
			}
			v, err := newVerification(code)
			if err != nil {
				return err
			}
			return errors.Join(c.verify(cmd.Context(), v, args[0], list), v.close())
		},
	}
	cmd.Flags().StringVar(&folder, "cases", "", "`FOLDER` of the cases (default: cases beside FILE)")
	c.bindForm(cmd.Flags(), plainForms)
	c.bindQuiet(cmd.Flags(), "show only cases that fail, in every form, and no progress")
	return cmd
}

// readCases reads the cases in a folder.
func readCases(folder string) ([]*cases.Case, error) {
	list, err := cases.ReadAll(os.DirFS(folder))
	var form *cases.FormError
	switch {
	case errors.As(err, &form):
		return nil, fail(exitFile, fmt.Errorf("%s: %s", filepath.Join(folder, form.File), form.Reason), form.Hint)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(exitFile, fmt.Errorf("there is no folder %s", folder), "make a folder there for each case, with in/SET/ITEM and out/SET/ITEM, or name another with --cases")
	case err != nil:
		return nil, fail(exitFile, fmt.Errorf("%s: %w", folder, err), "name a folder of cases with --cases")
	}
	return list, nil
}

// What verify says of a case.
const (
	caseOK            = "ok"
	caseFailed        = "failed"
	caseNotComparable = "not comparable"
)

// verified is what verify found out of a case.
type verified struct {
	Name        string       `json:"name"`
	Result      string       `json:"result"`
	Expected    string       `json:"expected"` // "ok", a fault's kind, or "exit 7"
	Compiled    *ranOn       `json:"compiled,omitempty"`
	Interpreted *ranOn       `json:"interpreted,omitempty"`
	Why         string       `json:"why,omitempty"` // it failed, or is not comparable
	Difference  *differsFrom `json:"difference,omitempty"`
}

// ranOn is how a case ended on one engine.
type ranOn struct {
	End         string `json:"end"`
	Fuel        int64  `json:"fuel"`
	MemoryPages int64  `json:"memory_pages"`
}

// differsFrom is where outputs differ.
type differsFrom struct {
	Set    string `json:"set"`
	Item   string `json:"item"`
	Offset *int64 `json:"offset,omitempty"` // of the first byte that differs, if the item's bytes do
}

// verifiedFile is what verify found out of a file.
type verifiedFile struct {
	File          string     `json:"file"`
	CodeDigest    string     `json:"code_digest"`
	Cases         []verified `json:"cases"`
	OK            int        `json:"ok"`
	Failed        int        `json:"failed"`
	NotComparable int        `json:"not_comparable"`
}

// verify runs the cases and shows what came of them.
func (c *commandLine) verify(ctx context.Context, v *verification, file string, list []*cases.Case) error {
	all := verifiedFile{File: file, CodeDigest: data.Sum(v.code).String(), Cases: []verified{}}
	if err := c.runCases(ctx, v, list, &all); err != nil {
		return err
	}
	err := showOne(c, &view[verifiedFile]{text: c.showVerified}, all)
	if err == nil && all.Failed > 0 {
		err = fail(exitDiffers, fmt.Errorf("%d of %d cases fail", all.Failed, len(list)), "correct the function or the cases; if the two engines differ, report it with the file and the case")
	}
	return err
}

func (c *commandLine) runCases(ctx context.Context, v *verification, list []*cases.Case, all *verifiedFile) error {
	p := c.startProgress("verifying")
	defer p.Stop()
	for i, one := range list {
		p.Say(harmless(fmt.Sprintf("case %d of %d, %s", i+1, len(list), one.Name)))
		result, err := v.run(ctx, one)
		if err != nil {
			return err
		}
		switch result.Result {
		case caseOK:
			all.OK++
		case caseFailed:
			all.Failed++
		case caseNotComparable:
			all.NotComparable++
		}
		if !c.quiet || result.Result == caseFailed {
			all.Cases = append(all.Cases, result)
		}
	}
	return nil
}

func (c *commandLine) showVerified(w io.Writer, all verifiedFile) error {
	if len(all.Cases) > 0 {
		t := newTable("CASE", "RESULT", "END", "FUEL", "WHY")
		for _, r := range all.Cases {
			end, fuel := "", ""
			if r.Compiled != nil {
				end, fuel = r.Compiled.End, strconv.FormatInt(r.Compiled.Fuel, 10)
			}
			t.add(r.Name, r.Result, end, fuel, r.Why)
		}
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	if c.quiet {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d ok, %d failed, %d not comparable\n", all.OK, all.Failed, all.NotComparable)
	return err
}

// verification runs cases of one module on both engines.
type verification struct {
	code        []byte
	known       engine.Inspection
	sig         engine.Signature
	compiler    engine.Engine
	interpreter engine.Engine
}

func newVerification(code []byte) (*verification, error) {
	compiler, err := wasmengine.New(wasmConfig())
	if err != nil {
		return nil, err
	}
	v := &verification{code: code, compiler: compiler}
	interpreter, err := wasmengine.New(wasmengine.Config{Interpreter: true})
	if err != nil {
		return nil, errors.Join(err, compiler.Close())
	}
	v.interpreter = interpreter
	if v.known, err = compiler.Inspect(code); err != nil {
		return nil, errors.Join(err, v.close())
	}
	v.sig = v.known.Manifest.Signature()
	return v, nil
}

func (v *verification) close() error { return errors.Join(v.compiler.Close(), v.interpreter.Close()) }

// run runs one case on both engines. Errors are those that keep it from being
// run at all.
func (v *verification) run(ctx context.Context, c *cases.Case) (verified, error) {
	result := verified{Name: c.Name, Result: caseOK, Expected: c.End()}
	failed := func(why string, d *cases.Difference) (verified, error) {
		result.Result, result.Why = caseFailed, why
		if d != nil && d.Set != "" {
			result.Difference = &differsFrom{Set: d.Set, Item: d.Item}
			if d.Offset >= 0 {
				result.Difference.Offset = &d.Offset
			}
		}
		return result, nil
	}
	if err := c.Fits(v.sig); err != nil {
		var form *cases.FormError
		if errors.As(err, &form) {
			return failed(form.Error()+"; "+form.Hint, nil)
		}
		return result, err
	}
	lim := c.Limits.Or(v.known.Manifest.Limits).Or(engine.DefaultLimits())
	if err := lim.Check(engine.MaxLimits()); err != nil {
		return result, usage("ask for less, in case.json or in the function's manifest", "case %s: %w", c.Name, err)
	}
	compiled, err := v.runOn(ctx, v.compiler, c, lim)
	if err != nil {
		return result, err
	}
	result.Compiled = ranAs(compiled)
	if d := c.Differs(compiled); d != nil {
		return failed(d.String(), d)
	}
	if compiled.Fault != nil && !compiled.Fault.Kind.Deterministic() {
		result.Result, result.Why = caseNotComparable, "when it ended depends on the machine"
		return result, nil
	}
	// It is much slower; a limit of fuel ends it where it ended the other.
	lim.Timeout = engine.MaxLimits().Timeout
	interpreted, err := v.runOn(ctx, v.interpreter, c, lim)
	switch {
	case errors.Is(err, wasmengine.ErrTooDeep):
		result.Result, result.Why = caseNotComparable, wasmengine.ErrTooDeep.Error()
		return result, nil
	case engine.KindOf(err) == engine.FaultDeadline, err == nil && interpreted.End() == string(engine.FaultDeadline):
		result.Result, result.Why = caseNotComparable, "the interpreter takes too long"
		return result, nil
	case err != nil && ctx.Err() != nil:
		return result, err
	case err != nil:
		return failed("interpreted, it does not run: "+err.Error(), nil)
	}
	result.Interpreted = ranAs(interpreted)
	if d := cases.Same(interpreted, compiled); d != nil {
		return failed("the engines differ; interpreted, "+d.String(), d)
	}
	return result, nil
}

func ranAs(o *cases.Outcome) *ranOn { return &ranOn{o.End(), o.Usage.Fuel, o.Usage.MemoryPages} }

// runOn runs a case on one engine.
func (v *verification) runOn(ctx context.Context, e engine.Engine, c *cases.Case, lim engine.Limits) (o *cases.Outcome, err error) {
	p, err := e.Prepare(ctx, v.code, v.sig, lim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	o, err = c.Run(ctx, p, lim)
	if err == nil && o.Fault != nil && o.Fault.Kind == engine.FaultCanceled {
		return nil, cmp.Or(ctx.Err(), error(o.Fault))
	}
	return o, err
}
