package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/internal/scratch"
	"pappus/registry"
	"pappus/sdk/toolchain"
	"pappus/server"
)

func (c *commandLine) devCommand() *cobra.Command {
	d := &development{command: c}
	var listen string
	cmd := &cobra.Command{
		Use:   "dev [FOLDER]",
		Short: "Build, register and test a function whenever its files change",
		Long: `Watches the files of the function in FOLDER (default: this one). At first, and
whenever one changes, it builds the function, registers it, and runs its cases.
What is wrong is said, and the last version that could be built stays registered.
--engine chericap builds native code instead, as "pappus build" does.

The server that it is registered with is part of this command, has the defaults,
keeps nothing, and can be called like any: by "pappus invoke" in another terminal,
or by curl. --server or --context names another one instead.

Ctrl-C ends it, as SIGTERM does, and with it what it builds and runs; the exit code
is 0. With --json every round is one line of JSON.`,
		Example: `  pappus dev hello
  pappus dev hello --listen 127.0.0.1:0
  pappus dev hello --engine chericap`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := d.made.check(); err != nil {
				return err
			}
			if d.project, err = openProject(folderOf(args)); err != nil {
				return err
			}
			if err := registry.CheckName(d.project.Name); err != nil {
				return badName(err, "rename the folder: it names the function; "+nameHint)
			}
			if d.cases == "" {
				d.cases = filepath.Join(d.project.Dir, casesFolder)
			}
			if d.builder, err = c.newBuilder(); err != nil {
				return err
			}
			d.stderr = cmd.ErrOrStderr()
			c.serving.Store(true) // it ends by itself, and has a folder to remove
			return d.run(cmd.Context(), listen)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:8080", "`ADDRESS` of the server; port 0 picks a free one")
	d.made.bind(flags)
	flags.StringVar(&d.cases, "cases", "", "`FOLDER` of the cases (default: cases beside the source)")
	return cmd
}

// development is a function that somebody works on.
type development struct {
	command *commandLine
	project *toolchain.Project
	cases   string // the folder of the cases
	builder *toolchain.Builder
	made    engineFlag    // what it is built for
	engine  engine.Engine // runs the cases
	client  *client.Client
	stderr  io.Writer

	module []byte // that was built last
}

// run watches until ctx ends.
func (d *development) run(ctx context.Context, listen string) (err error) {
	// Whoever watches from here on misses nothing that the first round does not see.
	w, err := watch(d.project, d.cases)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if d.command.global.server == "" && d.command.global.context == "" {
		return d.serve(ctx, listen, w)
	}
	if d.client, err = d.command.client(); err != nil {
		return err
	}
	eng, err := newEngine(d.made.name) //nolint:contextcheck // an engine lives longer than a round
	if err != nil {
		return err
	}
	d.engine = eng
	defer func() { err = errors.Join(err, eng.Close()) }()
	return d.loop(ctx, w)
}

// devShutdown is how long what runs on the embedded server may take to finish.
const devShutdown = time.Second

// serve runs a server of its own beside the loop, in a folder that is removed.
func (d *development) serve(ctx context.Context, listen string, w *watcher) (err error) {
	temp, err := scratch.New("", "pappus-dev-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Remove()) }()
	s := newServing()
	s.listen, s.data, s.server.Shutdown, s.abandons = listen, filepath.Join(temp.Path, "data"), devShutdown, true
	s.findOut()
	if err := checkAddress(listen); err != nil {
		return usage(listenHint, "--listen: %w", err)
	}
	log := slog.New(slog.NewTextHandler(newEscaper(d.stderr), &slog.HandlerOptions{Level: slog.LevelWarn}))
	serving, stop := context.WithCancel(ctx)
	defer stop()
	var loopErr error
	err = s.run(serving, io.Discard, log, func(ctx context.Context, _ *dispatcher.Dispatcher, _ *server.Server) {
		defer stop()
		d.engine = s.engines[d.made.name]
		if d.client, loopErr = client.New(s.address, nil); loopErr == nil {
			loopErr = d.loop(ctx, w)
			d.client.Close()
		}
	})
	return errors.Join(err, loopErr)
}

// loop makes a round for every change, until ctx ends. A change while a round is
// being made ends that one: what it would give is old.
func (d *development) loop(ctx context.Context, w *watcher) error {
	stop, done := d.start(ctx, nil)
	defer func() {
		stop()
		<-done
	}()
	for {
		changed, err := w.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		stop()
		<-done
		stop, done = d.start(ctx, changed)
	}
}

// start makes a round; stop ends it early.
func (d *development) start(ctx context.Context, changed []string) (stop func(), done chan struct{}) {
	ctx, stop = context.WithCancel(ctx)
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		begun := time.Now()
		d.begin(changed)
		r := d.round(ctx, changed)
		if ctx.Err() != nil {
			d.module = nil // perhaps not what the files are
			return
		}
		r.Milliseconds = time.Since(begun).Milliseconds()
		d.show(r)
	}()
	return stop, done
}

// devRound is what came of a round.
type devRound struct {
	Changed      []string    `json:"changed"`
	Function     string      `json:"function,omitempty"` // NAME@VERSION
	URL          string      `json:"url,omitempty"`      // where it is called
	Size         int         `json:"size,omitempty"`     // of the module, in bytes
	Test         *testedFile `json:"test,omitempty"`     // absent: there are no cases, or they were not run
	Milliseconds int64       `json:"milliseconds"`
	Error        *failure    `json:"error,omitempty"`
}

// round builds, registers and tests the function. The module that was built last
// is taken again if nothing but cases has changed.
func (d *development) round(ctx context.Context, changed []string) *devRound {
	r := &devRound{Changed: changed}
	failed := func(err error) *devRound {
		r.Error = failureOf(err)
		d.command.advise(ctx, r.Error)
		r.Error.Hint = styled(r.Error.Hint)
		return r
	}
	if d.module == nil || changed == nil || slices.ContainsFunc(changed, func(f string) bool { return !d.isOfCases(f) }) {
		d.module = nil
		p, err := toolchain.Open(filepath.Join(d.project.Dir, d.project.File))
		if err != nil {
			return failed(err)
		}
		built, err := d.command.build(ctx, d.builder, p, toolchain.Options{Native: d.made.native()}, d.stderr)
		if err != nil {
			return failed(err)
		}
		d.module = built.Module
	}
	r.Size = len(d.module)
	// What testing compiles, the server of this process finds compiled.
	var tested error
	r.Test, tested = d.test(engine.WithTenant(ctx, registry.DefaultTenant))
	telling := d.command.startProgress("registering " + d.project.Name)
	f, _, registered := d.client.PutFunction(ctx, d.project.Name, client.BytesBody(d.module, typeOf(d.made.name)), client.PutOptions{})
	telling.Stop()
	if registered == nil {
		r.Function, r.URL = fmt.Sprintf("%s@%d", f.Name, f.Version), d.client.Address()+"/v1/invoke/"+f.Name
	}
	if err := errors.Join(registered, tested); err != nil {
		return failed(err)
	}
	return r
}

// isOfCases reports whether a file, by its path relative to the project, is part
// of a case.
func (d *development) isOfCases(file string) bool {
	rel, err := filepath.Rel(d.cases, filepath.Join(d.project.Dir, file))
	return err == nil && filepath.IsLocal(rel)
}

// test runs the cases, if there are any.
func (d *development) test(ctx context.Context) (report *testedFile, err error) {
	if _, err := os.Stat(d.cases); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	list, err := readCases(d.cases)
	if err != nil {
		return nil, err
	}
	runner, err := newCaseRunner(d.engine, d.module)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runner.close()) }()
	report = &testedFile{File: d.project.Name, Cases: []testedCase{}}
	telling := d.command.startProgress("testing " + d.project.Name)
	defer telling.Stop()
	for i, one := range list {
		note := "compiling, for the first case"
		if i > 0 {
			note = harmless(fmt.Sprintf("case %d of %d, %s", i+1, len(list), one.Name))
		}
		telling.Say(note)
		result, _, err := runner.run(ctx, one)
		if err != nil {
			return nil, err
		}
		if result.Result == caseFailed {
			report.Failed++
		} else {
			report.OK++
		}
		report.Cases = append(report.Cases, result)
	}
	return report, nil
}

// begin tells why a round is made, before tools speak.
func (d *development) begin(changed []string) {
	if d.command.json {
		return
	}
	what := "start"
	if changed != nil {
		const most = 3
		what = strings.Join(changed[:min(len(changed), most)], ", ")
		if more := len(changed) - most; more > 0 {
			what += fmt.Sprintf(" and %d more", more)
		}
	}
	w := d.stdout()
	_ = paint(w, bold, time.Now().Format(time.TimeOnly)+" "+oneLine(what))
	_, _ = io.WriteString(w, "\n") // nobody is left to tell
}

// stdout is the standard output, made harmless.
func (d *development) stdout() io.Writer {
	if e, ok := d.command.stdout.(*escaper); ok { // it is a terminal
		return e
	}
	return newEscaper(d.command.stdout)
}

// show tells what came of a round.
func (d *development) show(r *devRound) {
	c := d.command
	if c.json {
		_ = json.NewEncoder(c.stdout).Encode(r) // nobody is left to tell
		return
	}
	w := d.stdout()
	if r.Function != "" {
		_, _ = fmt.Fprintf(w, "registered %s (%s): %s\n", r.Function, roughBytes(int64(r.Size)), r.URL)
	}
	if t := r.Test; t != nil {
		shown := *t
		shown.Cases = slices.DeleteFunc(slices.Clone(t.Cases), func(one testedCase) bool { return one.Result != caseFailed })
		_ = c.showTested(w, shown)
	}
	if f := r.Error; f != nil {
		e, ok := d.stderr.(*escaper)
		if !ok {
			e = newEscaper(d.stderr)
		}
		f.print(e, false)
	}
	_, _ = fmt.Fprintf(w, "%d ms; waiting for changes, Ctrl-C ends\n", r.Milliseconds)
}

// Changes come in bursts: editors write a file in several steps, and tools write
// many files. A burst is over when nothing has come for a moment, or has come
// for long.
const (
	burstQuiet = 30 * time.Millisecond
	burstMost  = time.Second
)

// watcher tells of changes to the files of a project.
type watcher struct {
	*fsnotify.Watcher
	project *toolchain.Project
	cases   string
}

// watch begins to watch. The caller closes the watcher.
func watch(p *toolchain.Project, cases string) (*watcher, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &watcher{n, p, cases}
	if err := w.addAll(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// addAll watches the folders of the project and of the cases.
func (w *watcher) addAll() error {
	if err := errors.Join(w.addIn(w.project.Dir), w.addIn(w.cases)); err != nil {
		return fail(exitFile, fmt.Errorf("watch %s: %w", w.project.Dir, err), "name the folder of one function; or raise fs.inotify.max_user_watches")
	}
	return nil
}

// addIn watches a folder and those in it that may hold sources, or cases.
func (w *watcher) addIn(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was removed meanwhile, or there are no cases
		case err != nil:
			return err
		case !e.IsDir():
			return nil
		case path != w.project.Dir && !w.inCases(path) && toolchain.LeftOut(e.Name()):
			return filepath.SkipDir
		}
		if err := w.Add(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func (w *watcher) inCases(path string) bool {
	rel, err := filepath.Rel(w.cases, path)
	return err == nil && filepath.IsLocal(rel)
}

// next waits for a burst of changes and gives the files, relative to the project.
func (w *watcher) next(ctx context.Context) ([]string, error) {
	var (
		changed []string
		fresh   = map[string]bool{} // those that were made in the burst
		quiet   <-chan time.Time
		most    <-chan time.Time
	)
	note := func(file string) {
		if changed == nil {
			most = time.After(burstMost)
		}
		if !slices.Contains(changed, file) {
			changed = append(changed, file)
		}
		quiet = time.After(burstQuiet)
	}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return nil, fmt.Errorf("watch files: %w", err)
			}
			note(".")
			continue
		case e := <-w.Events:
			if file, ok := w.concerns(e); ok {
				fresh[file] = fresh[file] || e.Has(fsnotify.Create) && !slices.Contains(changed, file)
				note(file)
			}
			continue
		case <-quiet:
		case <-most:
		}
		// New folders are watched from here on, and those that have another name now
		// again: their watch ended with the old one. Whoever is told of the burst
		// looks at the files after that, and so misses nothing.
		if err := w.addAll(); err != nil {
			return nil, err
		}
		// Editors write another file first and give it the name of the one.
		changed = slices.DeleteFunc(changed, func(file string) bool {
			_, err := os.Lstat(filepath.Join(w.project.Dir, file))
			return fresh[file] && errors.Is(err, fs.ErrNotExist)
		})
		if len(changed) > 0 {
			return changed, nil
		}
		changed, quiet, most = nil, nil, nil
	}
}

// concerns reports which file of the project an event is about, if it may change
// what is built or tested.
func (w *watcher) concerns(e fsnotify.Event) (file string, ok bool) {
	name := filepath.Base(e.Name)
	if e.Op == fsnotify.Chmod || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || !w.inCases(e.Name) && (strings.HasSuffix(name, ".wasm") || strings.HasSuffix(name, ".elf") || toolchain.LeftOut(name)) {
		return "", false
	}
	file, err := filepath.Rel(w.project.Dir, e.Name)
	if err != nil {
		file = e.Name
	}
	return file, true
}
