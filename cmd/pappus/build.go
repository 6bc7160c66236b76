package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/chericapengine"
	"pappus/engine"
	"pappus/internal/wholefile"
	"pappus/sdk/purify"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

func (c *commandLine) buildCommand() *cobra.Command {
	var (
		out  string
		made engineFlag
		opts toolchain.Options
	)
	cmd := &cobra.Command{
		Use:   "build [FOLDER|FILE]",
		Short: "Build a function from its source code",
		Long: `Builds the function whose source code is in FOLDER (default: this one), or in
one FILE, and writes FOLDER/NAME.wasm, or a file beside FILE. The language is that
of the files. --engine chericap makes NAME.elf of the same sources instead, native
code for Morello, of functions in C without a libc. What it needs is looked for in PATH; what is missing is named, with
the command that installs it.

The module has the source's lines for stack traces, unless --strip leaves them out.
` + languageHelp(),
		Example: `  pappus build hello
  pappus build hello/main.c -o new.wasm --strip
  pappus build hello --engine chericap`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := made.check(); err != nil {
				return err
			}
			opts.Native = made.native()
			p, err := openProject(folderOf(args))
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Join(p.Dir, p.Name+suffixOf(made.name))
			}
			b, err := c.newBuilder()
			if err != nil {
				return err
			}
			built, err := c.build(cmd.Context(), b, p, opts, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := writeModule(out, built.Module); err != nil {
				return err
			}
			return c.showBuilt(out, built)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&out, "out", "o", "", "`FILE` to write the module into")
	made.bind(flags)
	flags.BoolVar(&opts.Strip, "strip", false, "leave out what stack traces take from the source's lines")
	c.bindQuiet(flags, "print the name of the module's file only, and no progress")
	return cmd
}

// engineFlag is the engine that a verb builds for.
type engineFlag struct{ name string }

func (f *engineFlag) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "engine", wasmengine.Name, "the engine to build for: `wasm|chericap`")
}

// check refuses names of engines that there are not.
func (f *engineFlag) check() error {
	if !slices.Contains(engineNames(), f.name) {
		return usage("use wasm or chericap", "--engine %s: there is no such engine", f.name)
	}
	return nil
}

func (f *engineFlag) native() bool { return f.name == chericapengine.Name }

// engineNames are the engines that functions are built for.
func engineNames() []string { return []string{wasmengine.Name, chericapengine.Name} }

// suffixOf is how files of code for an engine are named.
func suffixOf(name string) string {
	if name == chericapengine.Name {
		return ".elf"
	}
	return ".wasm"
}

// typeOf is the media type of code for an engine.
func typeOf(name string) string {
	if name == chericapengine.Name {
		return "application/x-elf"
	}
	return "application/wasm"
}

// languageHelp lists the languages there are.
func languageHelp() string {
	var b strings.Builder
	b.WriteString("\nLanguages:\n")
	for _, l := range toolchain.Languages() {
		fmt.Fprintf(&b, "  %-6s %s\n", l.Name, l.About)
	}
	return b.String()
}

// folderOf is the folder or file that a verb's only argument names, or this folder.
func folderOf(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

func openProject(path string) (*toolchain.Project, error) {
	p, err := toolchain.Open(path)
	switch {
	case errors.Is(err, toolchain.ErrNoFile):
		return nil, fail(exitFile, err, "name a folder of source code, or a file of it")
	case errors.Is(err, toolchain.ErrTooManyFiles):
		return nil, fail(exitFile, err, "name the folder of the function, or its file")
	case err != nil:
		return nil, fail(exitFile, err, "name a folder of source code, or a file of it; begin one with: pappus new c NAME")
	}
	return p, nil
}

// newBuilder makes a builder that keeps SDKs in the user's cache folder.
func (c *commandLine) newBuilder() (*toolchain.Builder, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fail(exitFile, fmt.Errorf("there is no folder to unpack SDKs into: %w", err), "set HOME or XDG_CACHE_HOME")
	}
	return &toolchain.Builder{Cache: filepath.Join(dir, "pappus", "sdk"), LookupEnv: c.lookupEnv}, nil
}

// builtFunction is what came of building a project: a module that is accepted.
type builtFunction struct {
	*toolchain.Result
	known engine.Inspection
}

// build builds a project and holds the result to what is registered. What tools
// say goes to stderr.
func (c *commandLine) build(ctx context.Context, b *toolchain.Builder, p *toolchain.Project, opts toolchain.Options, stderr io.Writer) (*builtFunction, error) {
	telling := c.startProgress("building " + p.Name)
	r, err := b.Build(ctx, p, opts)
	telling.Stop()
	if err != nil {
		return nil, buildFailure(err, p, stderr)
	}
	_, _ = io.WriteString(stderr, r.Output) // warnings; nobody is left to tell
	name := wasmengine.Name
	if opts.Native {
		name = chericapengine.Name
	}
	eng, err := newEngine(name) //nolint:contextcheck // what it does takes no time that anybody would stop
	if err != nil {
		return nil, err
	}
	known, err := eng.Inspect(r.Module)
	return &builtFunction{r, known}, errors.Join(err, eng.Close())
}

// buildFailure says what an error of building means.
func buildFailure(err error, p *toolchain.Project, stderr io.Writer) error {
	var (
		missing *toolchain.MissingError
		refused *toolchain.ToolError
		unknown *toolchain.UnknownError
		impure  *purify.Error
		other   *toolchain.NotNativeError
		foreign *toolchain.CompilerError
	)
	switch {
	case errors.Is(err, toolchain.ErrForeignCache):
		return fail(exitFile, err, "remove it, or name another folder with XDG_CACHE_HOME")
	case errors.Is(err, toolchain.ErrNoFile):
		return fail(exitFile, err, "put a file in its place, or remove it")
	case errors.Is(err, toolchain.ErrManifestSize):
		return fail(exitRejected, err, `name in it what the function takes and gives, and nothing else; it looks like {"inputs": ["text"], "outputs": ["counts"]}`)
	case errors.As(err, &impure):
		return impureFailure(impure)
	case errors.As(err, &other):
		return fail(exitRejected, err, "leave --engine out, or write it in C on sdk/c, without a libc")
	case errors.As(err, &foreign):
		return fail(exitRejected, err, "unset CC, or name a clang with it, or a gcc for aarch64 such as aarch64-linux-gnu-gcc")
	case errors.As(err, &missing):
		return &failure{Exit: exitRejected, Message: err.Error(), Hint: "install it: " + missing.Install(), err: err}
	case errors.As(err, &refused):
		_, _ = io.WriteString(stderr, refused.Output) // nobody is left to tell
		return &failure{Exit: exitRejected, Message: "it does not build: " + err.Error(), Hint: cmp.Or(refused.Hint(), "correct what is said above") + makefileHint(p), err: err}
	case errors.As(err, &unknown) && len(unknown.Languages) > 0:
		return fail(exitFile, err, "keep one language in a folder, or name the file to be built")
	case errors.As(err, &unknown):
		return fail(exitFile, err, "name the folder of the source code; begin one with: pappus new c NAME; what there is: pappus new --help")
	}
	return err
}

// makefileHint says what to do with sources that are perhaps not built by this:
// a Makefile with them, or one in the folder above that names theirs, may know more.
func makefileHint(p *toolchain.Project) string {
	for _, dir := range []string{p.Dir, filepath.Dir(p.Dir)} {
		file := filepath.Join(dir, "Makefile")
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if rules, err := os.ReadFile(file); err != nil || dir != p.Dir && !bytes.Contains(rules, []byte(filepath.Base(p.Dir))) {
			continue
		}
		if here, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(here, dir); err == nil && filepath.IsLocal(rel) {
				dir = rel
			}
		}
		return fmt.Sprintf("; if its Makefile builds it: make -C %s, and then pappus test with the .wasm file", shellWord(dir))
	}
	return ""
}

// builtFile is what build says of a module.
type builtFile struct {
	File     string         `json:"file"`
	Language string         `json:"language"`
	Size     int            `json:"size"`
	Inputs   []engine.Param `json:"inputs"`
	Outputs  []engine.Param `json:"outputs"`
	Open     bool           `json:"open,omitempty"`
}

func (c *commandLine) showBuilt(file string, built *builtFunction) error {
	sig := built.known.Manifest.Signature()
	var err error
	switch {
	case c.json:
		err = c.printJSON(builtFile{file, built.Language.Name, len(built.Module), orEmpty(sig.Inputs), orEmpty(sig.Outputs), sig.Open})
	case c.quiet:
		_, err = fmt.Fprintln(c.stdout, oneLine(file))
	default:
		_, err = fmt.Fprintf(c.stdout, "built %s: %s, (%s) => (%s), in %s\n", oneLine(file), roughBytes(int64(len(built.Module))),
			paramList(sig.Inputs, sig.Open), paramList(sig.Outputs, sig.Open), rounded(built.Took))
	}
	return err
}

// rounded is a time as people read it.
func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}

// writeModule replaces a module's file as a whole.
func writeModule(path string, module []byte) error {
	if err := wholefile.Write(path, module, 0o644); err != nil {
		return fail(exitFile, err, "check that the folder is there and that you may write that file")
	}
	return nil
}
