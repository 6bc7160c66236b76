package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"pappus/bench/lab/experiment"
	"pappus/bench/lab/peer"
	"pappus/bench/lab/report"
	"pappus/bench/lab/result"
	"pappus/bench/lab/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: lab run|readme|report|worker …; -h after one of them says more")

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch verb, rest := args[0], args[1:]; {
	case verb == "run":
		return measure(ctx, rest)
	case verb == "readme":
		return readme(rest)
	case verb == "report":
		return remake(rest)
	case verb == "worker" && len(rest) == 2:
		return worker.Serve(ctx, rest[0], rest[1], os.Stdout)
	}
	return errUsage
}

// settings of a run.
type settings struct {
	set, only, root, out, pappus, watchdog, watchdogLog, dandelion, command string
	smoke                                                                   bool
	others                                                                  map[string]string
	functions                                                               int
}

// measure runs a set of experiments and writes what they brought.
func measure(ctx context.Context, args []string) (err error) {
	var s settings
	flags := flag.NewFlagSet("lab run", flag.ContinueOnError)
	flags.StringVar(&s.set, "set", "pappus", "what is measured: pappus, peers, k6 or languages")
	flags.StringVar(&s.only, "only", "", "of its experiments only these, by name, with commas between")
	flags.StringVar(&s.root, "root", ".", "folder of the repository")
	flags.StringVar(&s.out, "out", "bench/results", "folder to which the results' folder is added")
	flags.StringVar(&s.pappus, "pappus", "bin/pappus", "the program to measure")
	flags.StringVar(&s.watchdog, "watchdog", "", "of-watchdog's program (default: the one in the search path)")
	flags.StringVar(&s.watchdogLog, "watchdog-log", "", "file with what was said when of-watchdog could not be built: its last line is why it is not measured")
	flags.StringVar(&s.dandelion, "dandelion", "", "source folder of the paper's prototype, which cargo builds: it becomes a peer")
	flags.StringVar(&s.command, "command", "", "the command to note in the results (default: this one)")
	flags.IntVar(&s.functions, "functions", 10_000, "most functions that are registered, where it is measured how many cost what")
	flags.Func("peer", "`NAME=PROGRAM` of another peer, which is started with the number of its functions and answers POST /fN", func(value string) error {
		name, program, ok := strings.Cut(value, "=")
		if !ok || name == "" {
			return errors.New("it is NAME=PROGRAM")
		}
		if _, twice := s.others[name]; twice {
			return fmt.Errorf("there is a peer %q already", name)
		}
		if s.others == nil {
			s.others = map[string]string{}
		}
		s.others[name] = program
		return nil
	})
	flags.BoolVar(&s.smoke, "smoke", false, "only try whether all works: the figures mean nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("lab run takes no argument %q: the set is given by -set", flags.Arg(0))
	}
	if s.command == "" {
		s.command = "lab run " + strings.Join(args, " ")
	}
	set, experiments, err := s.chosen()
	if err != nil {
		return err
	}
	s.command = set.Given() + s.command
	plan, name := experiment.Full(), s.set
	if s.only != "" {
		name += "-part"
		if !strings.Contains(s.command, "-only") {
			s.command += " (-only " + s.only + ")"
		}
	}
	if s.smoke {
		plan, name = experiment.Smoke(), name+"-smoke"
	}
	plan.Registered = slices.DeleteFunc(plan.Registered, func(n int) bool { return n > s.functions })
	if len(plan.Registered) == 0 {
		return fmt.Errorf("-functions %d: there must be one", s.functions)
	}
	setup, err := s.setup()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(setup.Scratch)) }()
	claim, err := result.NewClaim(filepath.Join(s.out, time.Now().Format("2006-01-02-")+name))
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	defer func() { err = errors.Join(err, claim.Close()) }()

	if !s.smoke {
		const patience = time.Minute
		if err := quiet(ctx, result.Load, float64(runtime.NumCPU())/2, patience, os.Stderr); err != nil {
			return err
		}
	}
	// One for the client's work, and one that may wait for when a call is due.
	runtime.GOMAXPROCS(2)
	began := time.Now()
	r := &result.Result{
		Schema: result.Schema, Name: name, Partial: s.only != "", Began: began.UTC().Truncate(time.Second), Command: s.command,
		Machine: result.Here(ctx), Versions: versions(ctx, setup), Parameters: set.Parameters(plan),
	}
	r.Commit, r.Modified = result.Checkout(ctx, s.root)
	lab := &experiment.Lab{Setup: setup, Plan: plan, Log: os.Stderr}
	if err := lab.Run(ctx, experiments, r); err != nil {
		return err
	}
	r.Seconds = time.Since(began).Seconds()
	files, err := report.Of(r)
	if err != nil {
		return err
	}
	if err := claim.Write(r, files); err != nil {
		return err
	}
	fmt.Println(filepath.Join(claim.Folder, report.File))
	return nil
}

// quiet waits until the load average of the last minute is below a limit, for as
// long as there is patience: what ran before, a run of this program too, is in it.
func quiet(ctx context.Context, load func() float64, limit float64, patience time.Duration, says io.Writer) error {
	now := load()
	if now < limit {
		return nil
	}
	_, _ = fmt.Fprintf(says, "lab: the load average of the last minute is %.2f: waiting up to %v until it is below %.2f\n", now, patience, limit)
	ctx, stop := context.WithTimeoutCause(ctx, patience, errBusy)
	defer stop()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if load() < limit {
				return nil
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, errBusy) {
				return err
			}
			_, _ = fmt.Fprintf(says, "lab: the load average is still %.2f: measuring nevertheless, and the report says so\n", load())
			return nil
		}
	}
}

var errBusy = errors.New("the machine is busy")

// chosen are the set and those of its experiments that were asked for.
func (s settings) chosen() (experiment.Set, []experiment.Experiment, error) {
	sets := experiment.Sets()
	i := slices.IndexFunc(sets, func(set experiment.Set) bool { return set.Name == s.set })
	if i < 0 {
		return experiment.Set{}, nil, fmt.Errorf("-set %q: it is pappus, peers, k6 or languages", s.set)
	}
	set := sets[i]
	if s.only == "" {
		return set, set.Usual(), nil
	}
	var chosen []experiment.Experiment
	for name := range strings.SplitSeq(s.only, ",") {
		i := slices.IndexFunc(set.Experiments, func(e experiment.Experiment) bool { return e.Name == name })
		if i < 0 {
			return experiment.Set{}, nil, fmt.Errorf("-only %q: there is no such experiment in the set %s", name, s.set)
		}
		chosen = append(chosen, set.Experiments[i])
	}
	return set, chosen, nil
}

func (s settings) setup() (peer.Setup, error) {
	self, err := os.Executable()
	if err != nil {
		return peer.Setup{}, err
	}
	if _, err := exec.LookPath(s.pappus); err != nil {
		return peer.Setup{}, fmt.Errorf("-pappus: %w: run make build", err)
	}
	setup := peer.Setup{Root: s.root, Self: self, Pappus: s.pappus, Watchdog: s.watchdog, WatchdogLog: s.watchdogLog, Others: s.others, Dandelion: s.dandelion}
	names := map[string]bool{}
	for _, p := range setup.All() {
		if names[p.Name()] {
			return peer.Setup{}, fmt.Errorf("-peer: there is a peer %q already", p.Name())
		}
		names[p.Name()] = true
	}
	setup.Scratch, err = os.MkdirTemp("", "lab-")
	if err != nil {
		return peer.Setup{}, fmt.Errorf("make a folder for data: %w", err)
	}
	return setup, nil
}

func versions(ctx context.Context, s peer.Setup) map[string]string {
	all := map[string]string{
		"go":     runtime.Version(),
		"pappus": result.FirstLine(ctx, s.Pappus, "version"), "node": result.FirstLine(ctx, "node", "--version"), "gcc": result.FirstLine(ctx, "gcc", "--version"),
		"k6":    result.FirstLine(ctx, filepath.Join(s.Root, "bin", "k6"), "version"),
		"clang": result.FirstLine(ctx, "clang", "--version"), "rustc": result.FirstLine(ctx, "rustc", "--version"),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, "/wasmtime-go/") {
				all["wasmtime-go"] = dep.Version
			}
		}
	}
	if s.Dandelion != "" {
		all["dandelion"] = result.FirstLine(ctx, "git", "-C", s.Dandelion, "rev-parse", "--short=12", "HEAD")
		all["cargo"] = result.FirstLine(ctx, "cargo", "--version")
	}
	for name, version := range all {
		if version == "" {
			delete(all, name)
		}
	}
	return all
}

// readme fills the README's summaries, of what there are results of.
func readme(args []string) error {
	var root string
	var names report.Names
	flags := flag.NewFlagSet("lab readme", flag.ContinueOnError)
	flags.StringVar(&root, "root", ".", "folder of the repository")
	flags.StringVar(&names.Platform, "pappus", "", "folder in bench/results of Pappus alone (default: the newest)")
	flags.StringVar(&names.Peers, "peers", "", "folder in bench/results of the peers (default: the newest)")
	flags.StringVar(&names.Languages, "languages", "", "folder in bench/results of the languages (default: the newest)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	results := filepath.Join(root, "bench", "results")
	for set, name := range map[string]*string{"pappus": &names.Platform, "peers": &names.Peers, "languages": &names.Languages} {
		if *name != "" {
			continue
		}
		var err error
		if *name, err = newest(results, set, os.Stderr); err != nil {
			return err
		}
	}
	if names == (report.Names{}) {
		return fmt.Errorf("%s: there are no results: measure first", results)
	}
	file := filepath.Join(root, "README.md")
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	document, err = report.Fill(document, names, "bench/results", func(name string) (*result.Result, error) {
		return result.Read(filepath.Join(results, name))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, figure := range report.Shown(document, "bench/results") {
		if _, err := os.Stat(filepath.Join(root, figure)); err != nil {
			return fmt.Errorf("%s would show a figure that is not there: %w: bin/lab report %s makes it", file, err, path.Dir(figure))
		}
	}
	return os.WriteFile(file, document, 0o644)
}

// remake writes reports and their figures again from their results.
func remake(args []string) error {
	flags := flag.NewFlagSet("lab report", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	folders := flags.Args()
	if len(folders) == 0 {
		return errors.New("report: it takes folders of results, like bench/results/*/")
	}
	for _, folder := range folders {
		r, err := result.Read(folder)
		if err != nil {
			return err
		}
		files, err := report.Of(r)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := os.WriteFile(filepath.Join(folder, name), files[name], 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// newest is the last folder of a set's results by date and number that has all
// that a summary needs, or nothing if there is none. Others are passed over, which
// is said.
func newest(results, set string, says io.Writer) (string, error) {
	entries, err := os.ReadDir(results)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	name := regexp.MustCompile(`^\d{4}-\d\d-\d\d-` + set + `(-\d+)?$`)
	// Of a day, the one with the larger number is the later; up to 9 they sort so.
	for _, e := range slices.Backward(entries) {
		if !e.IsDir() || !name.MatchString(e.Name()) {
			continue
		}
		r, err := result.Read(filepath.Join(results, e.Name()))
		if err == nil {
			err = report.Whole(set, r)
		}
		if err == nil {
			return e.Name(), nil
		}
		_, _ = fmt.Fprintf(says, "lab: %s is passed over: %v\n", e.Name(), err)
	}
	return "", nil
}
