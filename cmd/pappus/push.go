package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/engine"
	"pappus/registry"
	"pappus/sdk/purify"
	"pappus/server/problem"
	"pappus/wasmengine"
)

// pushing is what push's flags say.
type pushing struct {
	name      string
	tags      []string
	memo      string
	also      string
	force     bool
	purify    bool
	signature signatureFlags
	limits    limitFlags
}

func (c *commandLine) pushCommand() *cobra.Command {
	var p pushing
	cmd := &cobra.Command{
		Use:   "push FILE …",
		Short: "Register functions with the server",
		Long: `Registers the code in FILE as a new version of a function and moves the tag
"latest" to it, or only the tags that --tag names. What the code's manifest says
of signature and limits can be overridden. The same code with the same settings
gives the version that exists. Compositions that apply what a tag names keep it
from moving to a version with other sets, unless --force says so.

A function may have code for several engines, built from the same source: --also
names the file for another one. The server runs the one that is cheaper; both must
give the same outputs, which "pappus verify" checks.

FILE is - for stdin. Several files are registered one after the other, each under
its own name, until one is refused. --quiet prints NAME@VERSION of each, which
invoke and other verbs take.`,
		Example: `  pappus push wordcount.wasm
  pappus push build/out.wasm --name count --input text --output counts/item --memory 64MiB --timeout 2s
  pappus push wordcount.wasm --tag canary
  pappus push wordcount.wasm --also wordcount.elf
  pappus push wordcount.wasm sumoccurrence.wasm
  pappus push app.wasm --purify --input logs --output counts
  pappus invoke $(pappus push wordcount.wasm --quiet) --in text=novel.txt`,
		Args:              takes(1, anyNumber),
		ValidArgsFunction: completeCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			jobs, err := c.pushJobs(&p, args)
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			records := c.pushAll(cmd.Context(), cl, jobs, p.options())
			if len(jobs) > 1 && c.form.kind != "" {
				return showAll(c, pushedView(), records)
			}
			return each(records, func(f pushed) error {
				if err := showOne(c, pushedView(), f); err != nil || p.also == "" || !f.created {
					return err
				}
				return c.sayUncompared(cmd.ErrOrStderr(), f.Name)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.name, "name", "", "`NAME` of the function (default: the file's name without .wasm or .elf)")
	flags.StringVar(&p.also, "also", "", "`FILE` of the same function's code for another engine")
	flags.StringArrayVar(&p.tags, "tag", nil, "`TAG` to move to this version instead of latest; may be repeated")
	flags.StringVar(&p.memo, "memo", "", "whether results may be remembered: `auto|off`")
	flags.BoolVar(&p.force, "force", false, "move the tags also where compositions need the sets that it had")
	flags.BoolVar(&p.purify, "purify", false, "make a pure function of a program for WASI first, as \"pappus purify\" does")
	p.signature.bind(flags)
	p.limits.bind(flags)
	c.bindForm(flags, allForms)
	c.bindQuiet(flags, "print NAME@VERSION only, and no progress")
	return cmd
}

// sayUncompared tells what nobody has looked at when code for two engines is registered.
func (c *commandLine) sayUncompared(stderr io.Writer, name string) error {
	if c.quiet || c.form.kind != "" {
		return nil
	}
	_, err := fmt.Fprintf(stderr, "note: whether both codes give the same was not looked at; this does: pappus verify %s --cases FOLDER\n", name)
	return err
}

// pushJob is one file to be registered.
type pushJob struct {
	file, name string
	begins     []byte // how the code begins
	code       client.Body
}

// pushJobs holds the arguments to all that can be known before anything is
// sent.
func (c *commandLine) pushJobs(p *pushing, files []string) ([]pushJob, error) {
	if p.signature.given() {
		if _, err := p.signature.signature(); err != nil {
			return nil, err
		}
	}
	if p.name != "" && len(files) > 1 {
		return nil, usage("push them one by one, or leave --name out", "--name is for one file, and there are %d", len(files))
	}
	if p.also != "" && len(files) > 1 {
		return nil, usage("push them one by one, each with its --also", "--also is for one file, and there are %d", len(files))
	}
	if p.memo != "" && p.memo != "auto" && p.memo != "off" {
		return nil, usage("use auto or off", "--memo %s: there is no such choice", p.memo)
	}
	if err := checkTags(p.tags); err != nil {
		return nil, err
	}
	reader := inputReader{stdin: c.stdin}
	var jobs []pushJob
	for _, file := range files {
		job, err := p.job(&reader, file)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(jobs, func(j pushJob) bool { return j.name == job.name }); i >= 0 {
			return nil, usage("push one of them under another name, with --name", "%s and %s would both be %s", jobs[i].file, file, job.name)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// checkTags holds the values of --tag to what they can be.
func checkTags(tags []string) error {
	for i, tag := range tags {
		if err := checkTag(tag); err != nil {
			return err
		}
		if slices.Contains(tags[:i], tag) {
			return usage("name it once", "--tag %s is there twice", tag)
		}
	}
	return nil
}

func (p *pushing) job(reader *inputReader, file string) (pushJob, error) {
	job := pushJob{file: file, name: p.name}
	if job.name == "" {
		if file == sourceStdin {
			return job, usage("name it with --name", "what comes from stdin has no name")
		}
		job.name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".wasm"), ".elf")
	}
	if err := registry.CheckName(job.name); err != nil {
		if p.name == "" {
			return job, badName(err, "name it with --name; "+nameHint)
		}
		return job, badName(err, nameHint)
	}
	open, size, err := reader.source(file)
	if err != nil {
		return job, err
	}
	if open, job.begins, err = peek(open); err != nil {
		return job, err
	}
	if noEngineTakes(job.begins) {
		return job, recognise(file, job.begins)
	}
	if p.also != "" {
		job.code, err = p.together(file)
		return job, err
	}
	if p.purify {
		if open, size, err = p.purified(file, open); err != nil {
			return job, err
		}
	}
	job.code = client.Body{Reader: &lazyReader{open: open}, Size: size, Type: "application/octet-stream"}
	return job, nil
}

// together is a form with the code of two files, each for its engine.
func (p *pushing) together(file string) (client.Body, error) {
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	engines := make(map[string]string)
	for _, path := range []string{file, p.also} {
		if path == sourceStdin {
			return client.Body{}, usage("name files", "with --also the code can't come from stdin")
		}
		code, err := readCode(path)
		if err != nil {
			return client.Body{}, err
		}
		name := engineOf(code)
		if name == "" {
			return client.Body{}, recognise(path, code)
		}
		if other, twice := engines[name]; twice {
			return client.Body{}, usage("name one file for each engine", "%s and %s are both for the engine %s", other, path, name)
		}
		engines[name] = path
		if p.purify && name == wasmengine.Name {
			if code, err = p.pure(code); err != nil {
				return client.Body{}, err
			}
		}
		part, err := parts.CreateFormFile(name, filepath.Base(path))
		if err == nil {
			_, err = part.Write(code)
		}
		if err != nil {
			return client.Body{}, err
		}
	}
	if err := parts.Close(); err != nil {
		return client.Body{}, err
	}
	return client.Body{Reader: &form, Size: int64(form.Len()), Type: parts.FormDataContentType()}, nil
}

// purified reads a program and makes a pure function of it. What is one stays
// what it is.
func (p *pushing) purified(file string, open func() (io.ReadCloser, error)) (func() (io.ReadCloser, error), int64, error) {
	r, err := open()
	if err != nil {
		return nil, 0, err
	}
	code, err := readAll(file, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, 0, err
	}
	if err := recognise(file, code); err != nil {
		return nil, 0, err
	}
	pure, err := p.pure(code)
	if err != nil {
		return nil, 0, err
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(pure)), nil }, int64(len(pure)), nil
}

// pure makes a pure function of a program. What is one stays what it is.
func (p *pushing) pure(code []byte) ([]byte, error) {
	making := purifying{memory: p.limits.limits, signature: p.signature}
	pure, err := making.purify(code)
	if errors.Is(err, purify.ErrPure) {
		return code, nil
	}
	return pure, err
}

// peekBytes is enough of code to see what it is.
const peekBytes = 1 << 10

// peek reads the beginning of a source, and gives one that has all of it. Files
// are opened again, so that many need one descriptor.
func peek(open func() (io.ReadCloser, error)) (again func() (io.ReadCloser, error), begins []byte, err error) {
	r, err := open()
	if err != nil {
		return nil, nil, err
	}
	begins, err = io.ReadAll(io.LimitReader(r, peekBytes))
	if file, ok := r.(*os.File); ok {
		if info, statErr := file.Stat(); statErr == nil && info.Mode().IsRegular() {
			return open, begins, errors.Join(err, r.Close())
		}
	}
	rest := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begins), r), r}
	return func() (io.ReadCloser, error) { return rest, nil }, begins, err
}

// noEngineTakes tells of code, by its beginning, that no engine of any server
// takes. What else is no WebAssembly may be another engine's.
func noEngineTakes(begins []byte) bool {
	text := bytes.TrimLeft(begins, " \t\r\n")
	return len(begins) == 0 || bytes.HasPrefix(text, []byte("(")) || bytes.HasPrefix(text, []byte(";;")) || compressed(begins)
}

func (p *pushing) options() client.PutOptions {
	l := p.limits.limits
	return client.PutOptions{
		Inputs: p.signature.inputs, Outputs: p.signature.outputs,
		Memory: sizeText(l.Memory), Stack: sizeText(l.Stack), OutputLimit: sizeText(l.Output),
		Fuel: numberText(l.Fuel), Timeout: timeText(l.Timeout), Memo: p.memo, Tags: p.tags, Force: p.force,
	}
}

// pushed is what came of a file: the function as the server describes it.
type pushed struct {
	client.Function
	created bool
}

// pushAll registers one file after the other until one is refused; its error
// then says what was done before.
func (c *commandLine) pushAll(ctx context.Context, cl *client.Client, jobs []pushJob, opts client.PutOptions) iter.Seq2[pushed, error] {
	return func(yield func(pushed, error) bool) {
		var done []string
		for i, job := range jobs {
			f, created, err := c.pushOne(ctx, cl, job, opts)
			if err != nil {
				yield(pushed{}, stoppedAt(err, jobs, i, done))
				return
			}
			one := pushed{*f, created}
			done = append(done, fmt.Sprintf("%s@%d", f.Name, f.Version))
			if !yield(one, nil) {
				return
			}
		}
	}
}

func (c *commandLine) pushOne(ctx context.Context, cl *client.Client, job pushJob, opts client.PutOptions) (*client.Function, bool, error) {
	p := c.startProgress("registering " + job.name)
	defer p.Stop()
	job.code.Reader = p.Counted(job.code.Reader, job.code.Size)
	f, created, err := cl.PutFunction(ctx, job.name, job.code, opts)
	var refused *client.Problem
	if errors.As(err, &refused) && refused.Code() == string(problem.UnknownCode) {
		if what := recognise(job.file, job.begins); what != nil {
			return nil, false, what // which the server can't say
		}
	}
	return f, created, err
}

// stoppedAt says which of several files was refused, and what became of the
// others.
func stoppedAt(err error, jobs []pushJob, at int, done []string) error {
	if len(jobs) == 1 {
		return err
	}
	f := *failureOf(err)
	f.Message = jobs[at].file + ": " + f.Message
	if len(done) > 0 {
		f.Message += "; registered before it: " + strings.Join(done, ", ")
	}
	var left []string
	for _, job := range jobs[at+1:] {
		left = append(left, job.file)
	}
	if len(left) > 0 {
		f.Message += "; not tried after it: " + strings.Join(left, ", ")
	}
	f.err = err
	return &f
}

// pushedView shows what came of a push.
func pushedView() *view[pushed] {
	versions := versionView()
	v := &view[pushed]{
		name: func(p pushed) string { return versions.name(functionEntry(&p.Function)) },
		text: func(w io.Writer, p pushed) error {
			what := "registered"
			if !p.created {
				what = "unchanged"
			}
			_, err := fmt.Fprintf(w, "%s %s@%d %s\n", what, p.Name, p.Version, p.Digest)
			return err
		},
	}
	for _, col := range versions.columns {
		v.columns = append(v.columns, column[pushed]{col.title, col.only, func(p pushed) string { return col.value(functionEntry(&p.Function)) }})
	}
	return v
}

func sizeText(b engine.Bytes) string {
	if b == 0 {
		return ""
	}
	return b.String()
}

func timeText(d engine.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func numberText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
