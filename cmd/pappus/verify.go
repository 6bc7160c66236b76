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
	"pappus/chericapengine"
	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

// casesFolder is where the cases of a module are, beside it.
const casesFolder = "cases"

func (c *commandLine) verifyCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "verify FILE|NAME [OTHER]",
		Short: "Run a function's cases on several engines and compare what they give",
		Long: `Runs every case of the function in FILE twice: as compiled code, as a server
does, and in an interpreter. Outputs and faults must be what the case says, and
outputs, faults and fuel of the two the same. A case that fails as compiled code
is not interpreted.

OTHER is the same function's code for another engine: of the two files one is
WebAssembly and one native (ELF). Outputs must be equal on both; fuel is each
engine's own, and so is how a case fails at a limit. A native FILE alone is run
on its engine only.

NAME is a function on the server, like name@3: all the code that the version has
is fetched and run here, on the cases that --cases names.

A case is a folder cases/NAME beside FILE, with inputs in/SET/ITEM, outputs
out/SET/ITEM, and case.json if it must fail or has keys or limits of its own.
The interpreter is slow, and can't follow calls that nest 2,000 deep: such cases
are "not comparable", and run compiled only.`,
		Example: `  pappus verify samples/wordcount/wordcount.wasm
  pappus verify samples/wordcount/wordcount.wasm samples/wordcount/wordcount.elf
  pappus verify new.wasm --cases tests --json
  pappus verify wordcount --cases samples/wordcount/cases`,
		Args:              takes(1, 2),
		ValidArgsFunction: completeCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			code, first, err := c.implementations(cmd.Context(), args, folder)
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
			v, err := newVerification(code, first)
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

// implementations reads files, or fetches the code of a function on the server.
func (c *commandLine) implementations(ctx context.Context, args []string, folder string) (code map[string][]byte, first string, err error) {
	if isFile(args[0]) || len(args) > 1 {
		return readImplementations(args)
	}
	if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
		return readImplementations(args)
	}
	if err := c.reference(args[0]); err != nil {
		return nil, "", err
	}
	if folder == "" {
		return nil, "", usage("name their folder with --cases", "the cases of a function on a server are not known")
	}
	cl, err := c.client()
	if err != nil {
		return nil, "", err
	}
	f, err := cl.GetFunction(ctx, args[0])
	if err != nil {
		return nil, "", err
	}
	code = make(map[string][]byte)
	for name := range f.Code {
		if size := f.Code[name].Size; size > codeLimit {
			return nil, "", fail(exitFile, fmt.Errorf("the code of %s has %d bytes, more than %s", f.Name, size, engine.Bytes(codeLimit)), "verify its files")
		}
		if code[name], err = fetchCode(ctx, cl, f, name); err != nil {
			return nil, "", err
		}
	}
	return code, f.Engine, nil
}

// readImplementations reads one function's code for different engines, and tells
// which is named first.
func readImplementations(files []string) (code map[string][]byte, first string, err error) {
	code = make(map[string][]byte)
	for _, file := range files {
		one, name, err := readFunction(file)
		if err != nil {
			return nil, "", err
		}
		first = cmp.Or(first, name)
		if code[name] != nil {
			return nil, "", usage("name one file for each engine", "%s and %s are both for the engine %s", files[0], file, name)
		}
		code[name] = one
	}
	return code, first, nil
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
	Native      *ranOn       `json:"native,omitempty"`
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
	all := verifiedFile{File: file, CodeDigest: data.Sum(v.first).String(), Cases: []verified{}}
	if err := c.runCases(ctx, v, list, &all); err != nil {
		return err
	}
	err := showOne(c, &view[verifiedFile]{text: c.showVerified}, all)
	if err == nil && all.Failed > 0 {
		err = fail(exitDiffers, fmt.Errorf("%d of %d cases fail", all.Failed, len(list)), "correct the function or the cases; if engines differ, report it with the file and the case")
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
			if ran := cmp.Or(r.Compiled, r.Native); ran != nil {
				end, fuel = ran.End, strconv.FormatInt(ran.Fuel, 10)
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

// verification runs cases of one function on all engines that it has code for.
type verification struct {
	first []byte // the code that was named first
	known engine.Inspection
	sig   engine.Signature

	wasm        []byte // nil: there is none
	compiler    engine.Engine
	interpreter engine.Engine
	elf         []byte // nil: there is none
	native      engine.Engine
	programs    map[engine.Engine]*programs // one for each engine
}

// programs are one code on one engine, prepared once for all cases that have the
// same limits.
type programs struct {
	engine    engine.Engine
	code      []byte
	signature engine.Signature
	made      map[engine.Limits]engine.Program
}

func newPrograms(eng engine.Engine, code []byte, sig engine.Signature) *programs {
	return &programs{eng, code, sig, map[engine.Limits]engine.Program{}}
}

// with is the program that has those limits. What it returns must not be closed.
func (p *programs) with(ctx context.Context, lim engine.Limits) (engine.Program, error) {
	if made, ok := p.made[lim]; ok {
		return made, nil
	}
	made, err := p.engine.Prepare(ctx, p.code, p.signature, lim)
	if err != nil {
		return nil, err
	}
	p.made[lim] = made
	return made, nil
}

// close closes all of them.
func (p *programs) close() error {
	var errs []error
	for _, made := range p.made {
		errs = append(errs, made.Close())
	}
	return errors.Join(errs...)
}

func newVerification(code map[string][]byte, first string) (v *verification, err error) {
	v = &verification{programs: map[engine.Engine]*programs{}, wasm: code[wasmengine.Name], elf: code[chericapengine.Name], first: code[first]}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	for _, e := range []struct {
		place *engine.Engine
		make  func() (engine.Engine, error)
		code  []byte
	}{
		{&v.compiler, func() (engine.Engine, error) { return wasmengine.New(wasmConfig()) }, v.wasm},
		{&v.interpreter, func() (engine.Engine, error) { return wasmengine.New(wasmengine.Config{Interpreter: true}) }, v.wasm},
		{&v.native, func() (engine.Engine, error) { return chericapengine.New(chericapengine.Config{}) }, v.elf},
	} {
		if e.code == nil {
			continue
		}
		made, err := e.make()
		if err != nil {
			return v, err
		}
		*e.place = made
		known, err := made.Inspect(e.code)
		if err != nil {
			return v, err
		}
		// The sets are those of the file that was named first, if it says any.
		if m := &v.known.Manifest; m.Signature().Open || &e.code[0] == &v.first[0] {
			v.known = known
		}
	}
	v.sig = v.known.Manifest.Signature()
	for _, e := range []engine.Engine{v.compiler, v.interpreter} {
		if e != nil {
			v.programs[e] = newPrograms(e, v.wasm, v.sig)
		}
	}
	if v.native != nil {
		v.programs[v.native] = newPrograms(v.native, v.elf, v.sig)
	}
	return v, nil
}

func (v *verification) close() error {
	var errs []error
	for _, p := range v.programs {
		errs = append(errs, p.close())
	}
	for _, e := range []engine.Engine{v.compiler, v.interpreter, v.native} {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errors.Join(errs...)
}

// fail says why a case failed, and where outputs differ if they do.
func (r *verified) fail(why string, d *cases.Difference) {
	r.Result, r.Why = caseFailed, why
	if d != nil && d.Set != "" {
		r.Difference = &differsFrom{Set: d.Set, Item: d.Item}
		if d.Offset >= 0 {
			r.Difference.Offset = &d.Offset
		}
	}
}

// skip says why a case can't be compared.
func (r *verified) skip(why string) { r.Result, r.Why = caseNotComparable, why }

// run runs one case on all engines. Errors are those that keep it from being
// run at all.
func (v *verification) run(ctx context.Context, c *cases.Case) (verified, error) {
	result := verified{Name: c.Name, Result: caseOK, Expected: c.End()}
	if err := c.Fits(v.sig); err != nil {
		var form *cases.FormError
		if errors.As(err, &form) {
			result.fail(form.Error()+"; "+form.Hint, nil)
			return result, nil
		}
		return result, err
	}
	lim := c.Limits.Or(v.known.Manifest.Limits).Or(engine.DefaultLimits())
	if err := lim.Check(engine.MaxLimits()); err != nil {
		return result, usage("ask for less, in case.json or in the function's manifest", "case %s: %w", c.Name, err)
	}
	var compiled *cases.Outcome
	if v.wasm != nil {
		var err error
		if compiled, err = v.runWasm(ctx, c, lim, &result); err != nil || result.Result != caseOK {
			return result, err
		}
	}
	if v.elf == nil {
		return result, nil
	}
	err := v.runNative(ctx, c, lim, compiled, &result)
	return result, err
}

// runWasm runs a case as compiled code and in the interpreter.
func (v *verification) runWasm(ctx context.Context, c *cases.Case, lim engine.Limits, result *verified) (*cases.Outcome, error) {
	compiled, err := v.runOn(ctx, v.compiler, c, lim)
	if err != nil {
		return nil, err
	}
	result.Compiled = ranAs(compiled)
	if d := c.Differs(compiled); d != nil {
		result.fail(d.String(), d)
		return compiled, nil
	}
	if compiled.Fault != nil && !compiled.Fault.Kind.Deterministic() {
		result.skip("when it ended depends on the machine")
		return compiled, nil
	}
	// It is much slower; a limit of fuel ends it where it ended the other.
	lim.Timeout = engine.MaxLimits().Timeout
	interpreted, err := v.runOn(ctx, v.interpreter, c, lim)
	switch {
	case errors.Is(err, wasmengine.ErrTooDeep):
		result.skip(wasmengine.ErrTooDeep.Error())
	case engine.KindOf(err) == engine.FaultDeadline, err == nil && interpreted.End() == string(engine.FaultDeadline):
		result.skip("the interpreter takes too long")
	case err != nil && ctx.Err() != nil:
		return compiled, err
	case err != nil:
		result.fail("interpreted, it does not run: "+err.Error(), nil)
	default:
		result.Interpreted = ranAs(interpreted)
		if d := cases.Same(interpreted, compiled); d != nil {
			result.fail("the engines differ; interpreted, "+d.String(), d)
		}
	}
	return compiled, nil
}

// runNative runs a case as native code. Compiled is how it ended as WebAssembly;
// nil if it was not run as that.
func (v *verification) runNative(ctx context.Context, c *cases.Case, lim engine.Limits, compiled *cases.Outcome, result *verified) error {
	native, err := v.runOn(ctx, v.native, c, lim)
	if err != nil {
		return err
	}
	result.Native = ranAs(native)
	switch {
	case native.Fault != nil && atLimit(native.Fault.Kind), compiled != nil && compiled.Fault != nil && atLimit(compiled.Fault.Kind):
		if native.End() != c.End() {
			result.skip("natively it ended with " + native.End() + ", and limits are each engine's own")
		}
	case compiled == nil || native.Fault != nil || compiled.Fault != nil:
		if d := c.Differs(native); d != nil {
			result.fail("natively, "+d.String(), d)
		}
	default:
		if d := cases.Compare(native.Outputs, compiled.Outputs); d != nil {
			result.fail("the engines differ; natively, "+d.String(), d)
		}
	}
	return nil
}

// atLimit tells of faults at a limit that every engine measures in its own way.
func atLimit(k engine.FaultKind) bool {
	return k == engine.FaultOutOfFuel || k == engine.FaultOutOfStack || k == engine.FaultOutOfMemory || !k.Deterministic()
}

func ranAs(o *cases.Outcome) *ranOn { return &ranOn{o.End(), o.Usage.Fuel, o.Usage.MemoryPages} }

// runOn runs a case on one engine.
func (v *verification) runOn(ctx context.Context, e engine.Engine, c *cases.Case, lim engine.Limits) (*cases.Outcome, error) {
	p, err := v.programs[e].with(ctx, lim)
	if err != nil {
		return nil, err
	}
	o, err := c.Run(ctx, p, lim)
	if err == nil && o.Fault != nil && o.Fault.Kind == engine.FaultCanceled {
		return nil, cmp.Or(ctx.Err(), error(o.Fault))
	}
	return o, err
}
