package toolchain

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/internal/scratch"
)

// Builder builds projects. It is safe for concurrent use.
type Builder struct {
	// Cache is the folder where SDKs are unpacked, and what is made of them alone
	// is kept; made if it is not there. It must be this user's, and is closed to
	// others. Whatever is in it can be removed when nothing is built.
	Cache string

	// LookupEnv is the environment; nil: that of this process.
	LookupEnv func(string) (string, bool)
}

// Options say how a project is built.
type Options struct {
	Strip  bool // without debug information
	Native bool // for Morello, instead of WebAssembly
}

// Result is what came of a build.
type Result struct {
	Language *Language
	Module   []byte
	Output   string        // what the tools said, warnings mostly
	Took     time.Duration // all of it
}

// Build is one build, as a plan sees it.
type Build struct {
	*Project
	Options
	SDK string // folder of the unpacked SDK
	Out string // where the tools are to leave the module

	builder *Builder
	made    string // folder for what is made of the SDK
	temp    string
	tools   map[string]string
	names   int
}

// Cached is a file in the cache for what a step makes of the SDK alone: another
// one for other arguments, another tool or another version of it.
func (b *Build) Cached(tool string, args []string, ext string) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q\n%q\n", b.tools[tool], args) // a hash takes everything
	if path, err := filepath.EvalSymlinks(b.tools[tool]); err == nil {
		if info, err := os.Stat(path); err == nil {
			_, _ = fmt.Fprintf(h, "%s %d %d", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return filepath.Join(b.made, hex.EncodeToString(h.Sum(nil)[:12])+ext)
}

// Temp is a new file that is removed after the build.
func (b *Build) Temp(name string) string {
	b.names++
	return filepath.Join(b.temp, fmt.Sprintf("%d-%s", b.names, name))
}

// Flags are the words of a variable like CFLAGS.
func (b *Build) Flags(variable string) []string {
	text, ok := b.builder.lookup(variable)
	if !ok {
		return nil
	}
	return strings.Fields(text)
}

func (b *Builder) lookup(variable string) (string, bool) {
	if b.LookupEnv != nil {
		return b.LookupEnv(variable)
	}
	return os.LookupEnv(variable)
}

// MissingError says that tools are not there.
type MissingError struct {
	Language string
	Tools    []Tool
}

func (e *MissingError) Error() string {
	var names []string
	for _, t := range e.Tools {
		names = append(names, t.Name)
	}
	are := "is"
	if len(names) > 1 {
		are = "are"
	}
	return fmt.Sprintf("functions in %s need %s, which %s not here", e.Language, strings.Join(names, " and "), are)
}

// Install says what to do.
func (e *MissingError) Install() string {
	var commands []string
	for _, t := range e.Tools {
		if len(commands) == 0 || commands[len(commands)-1] != t.Install {
			commands = append(commands, t.Install)
		}
	}
	return strings.Join(commands, "; and: ")
}

// ToolError says that a tool refused the sources.
type ToolError struct {
	Tool     string
	Language string // that is built
	Output   string // all that the tools of the build said
	Err      error
}

func (e *ToolError) Error() string { return fmt.Sprintf("%s: %v", e.Tool, e.Err) }

// Unwrap gives the cause.
func (e *ToolError) Unwrap() error { return e.Err }

// Build builds a project. Errors are a *MissingError, a *NotNativeError, a
// *CompilerError, a *ToolError, ctx's, or of files.
func (b *Builder) Build(ctx context.Context, p *Project, opts Options) (*Result, error) {
	l, err := LanguageOf(p)
	if err != nil {
		return nil, err
	}
	return b.build(ctx, p, l, opts)
}

func (b *Builder) build(ctx context.Context, p *Project, l *Language, opts Options) (r *Result, err error) {
	begun := time.Now()
	l, tools, err := b.choose(ctx, l, opts)
	if err != nil {
		return nil, err
	}
	one := &Build{Project: p, Options: opts, builder: b, tools: tools}
	if l.SDK != nil {
		if one.SDK, one.made, err = b.unpack(ctx, l); err != nil {
			return nil, fmt.Errorf("unpack the SDK of %s: %w", l.Name, err)
		}
	}
	temp, err := scratch.New("", "pappus-build-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, temp.Remove()) }()
	one.temp = temp.Path
	one.Out = filepath.Join(one.temp, "function")
	stages, err := l.Plan(one)
	if err != nil {
		return nil, err
	}
	output := new(transcript)
	for _, stage := range stages {
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		for _, step := range stage {
			group.Go(func() error { return one.run(within, step, output) })
		}
		if err := group.Wait(); err != nil {
			var tool *ToolError
			if errors.As(err, &tool) {
				tool.Language, tool.Output = l.Name, output.String()
			}
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
	module, err := os.ReadFile(one.Out)
	if err == nil && l.Finish != nil {
		module, err = l.Finish(module, one)
	}
	if err != nil {
		return nil, err
	}
	return &Result{Language: l, Module: module, Output: output.String(), Took: time.Since(begun)}, nil
}

// NotNativeError says that a language is not built for Morello.
type NotNativeError struct{ Language string }

func (e *NotNativeError) Error() string {
	return fmt.Sprintf("functions in %s are built for WebAssembly only", e.Language)
}

// choose finds the way to build a language, and the tools for it.
func (b *Builder) choose(ctx context.Context, l *Language, opts Options) (*Language, map[string]string, error) {
	ways := []*Language{l}
	if opts.Native {
		ways = l.Native
		if named, ok := b.lookup("CC"); ok && named != "" && len(ways) > 0 {
			way, err := wayOf(ctx, ways, named)
			if err != nil {
				return nil, nil, err
			}
			ways = []*Language{way}
		}
	}
	first := error(&NotNativeError{l.Name})
	for i, way := range ways {
		tools, err := b.find(way)
		if err == nil {
			return way, tools, nil
		}
		if i == 0 {
			first = err
		}
	}
	return nil, nil, first
}

// find looks for the tools of a language.
func (b *Builder) find(l *Language) (map[string]string, error) {
	found := make(map[string]string)
	missing := &MissingError{Language: l.Name}
	for _, t := range l.Tools {
		programs := t.Programs
		if t.Variable != "" {
			if named, ok := b.lookup(t.Variable); ok && named != "" {
				programs = []string{named}
			}
		}
		for _, pattern := range t.Files {
			if files, err := filepath.Glob(pattern); err == nil && len(files) > 0 {
				found[t.Name] = files[0]
				break
			}
		}
		for _, path := range b.candidates(programs) {
			if found[t.Name] == "" && (t.Usable == nil || t.Usable(path)) {
				found[t.Name] = path
			}
		}
		if found[t.Name] == "" {
			missing.Tools = append(missing.Tools, t)
		}
	}
	if len(missing.Tools) > 0 {
		return nil, missing
	}
	return found, nil
}

// candidates are the programs in PATH of those names.
func (*Builder) candidates(names []string) (paths []string) {
	for _, name := range names {
		first, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		paths = append(paths, first)
		if filepath.Base(name) != name {
			continue
		}
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) && path != first {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// run runs a step, unless what it makes is there.
func (b *Build) run(ctx context.Context, s Step, output *transcript) (err error) {
	args := s.Args
	if s.Makes != "" {
		if isWhole(s.Makes) {
			return nil
		}
		temp, makeErr := emptyFile(filepath.Dir(s.Makes))
		if makeErr != nil {
			return makeErr
		}
		defer func() {
			if err == nil {
				err = keep(temp, s.Makes)
			}
			_ = os.Remove(temp) // it has another name by now, or is of no use
		}()
		args = make([]string, len(s.Args))
		for i, arg := range s.Args {
			if args[i] = arg; arg == MakesHere {
				args[i] = temp
			}
		}
	}
	program, name := b.tools[s.Tool], filepath.Base(b.tools[s.Tool])
	if s.Program != "" {
		program, name = s.Program, s.Tool
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), s.Env...)
	said := new(bounded)
	cmd.Stdout, cmd.Stderr = said, said
	endWithChildren(cmd)
	err = cmd.Run()
	output.add(said)
	if err != nil {
		return &ToolError{Tool: name, Err: err}
	}
	return nil
}

// endWithChildren has the children of a compiler end with it: they must not outlive the
// build.
func endWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
}

// emptyFile makes a file with a name that nothing else has.
func emptyFile(dir string) (name string, err error) {
	f, err := os.CreateTemp(dir, making)
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// maxOutput is how much is kept of what a tool says, in bytes.
const maxOutput = 256 << 10

// bounded keeps the beginning of what is written.
type bounded struct {
	text bytes.Buffer
	more int
}

var _ io.Writer = (*bounded)(nil)

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-b.text.Len())
	b.text.Write(p[:n])
	b.more += len(p) - n
	return len(p), nil
}

// transcript is what tools said, one after the other.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *transcript) add(b *bounded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b.text.Bytes())
	if b.more > 0 {
		fmt.Fprintf(&t.text, "… and %d bytes more\n", b.more)
	}
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
