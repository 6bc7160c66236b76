package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/server"
	"pappus/wasmengine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/codecache"
)

// serving is what serve's flags say.
type serving struct {
	listen, data        string
	logFormat, logLevel string
	codeCache           int64 // bytes; 0: none
	tls                 certificate

	server   server.Config
	dispatch dispatcher.Config
	wasm     wasmengine.Config
}

func (c *commandLine) serveCommand() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server",
		Long: `Runs a server until SIGINT or SIGTERM, then finishes what runs and ends; a second
signal ends it at once. Everything it keeps is in the folder --data.

It prints "listening on http://ADDRESS" to stdout as soon as it takes requests,
and logs to stderr. It listens for this machine only: there are no keys yet, so
whoever reaches it may do everything. It speaks HTTP/1.1 and HTTP/2; with
--tls-cert and --tls-key connections are encrypted.

Each flag can also be set by a variable: PAPPUS_MAX_BODY for --max-body.`,
		Example: `  pappus serve
  pappus serve --listen 127.0.0.1:0 --data /var/lib/pappus --access-log
  PAPPUS_MEMORY_BUDGET=4GiB pappus serve --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var names []string
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if err := fromEnvironment(cmd.Flags(), c.lookupEnv, names...); err != nil {
				return err
			}
			log, err := s.logger(c.stderr)
			if err != nil {
				return err
			}
			if _, ok := c.lookupEnv("GOGC"); !ok {
				debug.SetGCPercent(gcPercent)
				ballast := make([]byte, gcBallast)
				defer runtime.KeepAlive(ballast)
			}
			if s.dispatch.MemoryBudget == 0 {
				s.dispatch.MemoryBudget = memoryBudget(os.DirFS("/"))
			}
			if _, ok := c.lookupEnv("GOMEMLIMIT"); !ok {
				debug.SetMemoryLimit(s.heapLimit())
			}
			if _, ok := c.lookupEnv("GOMAXPROCS"); !ok {
				s.spareProcessors()
			}
			return s.run(cmd.Context(), c.stdout, log)
		},
	}
	s.wasm = wasmConfig()
	s.bind(cmd.Flags())
	return cmd
}

// How much the heap of a server may grow between collections. Isolates are
// outside of it, so that it is small, and a busy server would collect every few
// milliseconds. So the heap is made to look larger by bytes that nobody
// touches, which take no memory: an empty server may grow by these, and one
// with many loaded functions still grows by no more than what it holds.
const (
	gcPercent = 100
	gcBallast = 24 << 20
)

// heapLimit is the size beyond which collecting is worth any effort: bodies,
// programs, and what looking at large modules takes. Contexts are not in it.
func (s *serving) heapLimit() int64 {
	return s.dispatch.MemoryBudget/4 + 1<<30
}

// spareProcessors gives Go one processor more than there are functions that
// compute at once: one where no function runs, on which requests are read and
// answers written. The operating system shares the real ones.
func (s *serving) spareProcessors() {
	if s.dispatch.Workers == 0 {
		s.dispatch.Workers = runtime.GOMAXPROCS(0)
	}
	if n := s.dispatch.Workers; n > 0 && n <= dispatcher.MaxWorkers { // anything else is refused with the rest
		runtime.GOMAXPROCS(max(s.dispatch.Workers, runtime.GOMAXPROCS(0)) + 1)
	}
}

func (s *serving) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 picks a free one")
	flags.StringVar(&s.data, "data", "pappus-data", "folder for all that is kept; made if it is not there")
	flags.StringVar(&s.tls.chain, "tls-cert", "", "file of the certificate to encrypt connections with, and of those that sign it (PEM)")
	flags.StringVar(&s.tls.key, "tls-key", "", "file of its key (PEM)")

	d := &s.dispatch
	flags.IntVar(&d.Workers, "workers", 0, "functions that compute at once (default: one for each processor)")
	flags.Var(bytesFlag{&d.MemoryBudget}, "memory-budget", "memory for contexts, bodies and answers together (default: half of the machine's)")
	flags.IntVar(&d.Waiting, "waiting", 1024, "invocations that may wait")
	flags.DurationVar(&d.QueueTimeout, "queue-timeout", 5*time.Second, "how long one may wait to start")
	flags.DurationVar(&d.CompileTimeout, "compile-timeout", 30*time.Second, "how long compiling a function may take")
	flags.Var(newPairsFlag(d.Defaults.Set), "default-limits", "limits of functions that ask for none, like memory=64MiB,timeout=2s")
	flags.Var(newPairsFlag(d.Maximum.Set), "max-limits", "highest limits that a function may ask for; names as for --default-limits")
	flags.Var(newPairsFlag(capSetter(&s.wasm.Caps)), "module-limits", "what a wasm module may have, like functions=1000,body=1MiB")
	s.codeCache = codecache.DefaultBytes
	flags.Var(bytesFlag{&s.codeCache}, "code-cache", "how much compiled code is kept in the data folder; 0: none")
	d.ProgramBytes = dispatcher.DefaultProgramBytes
	flags.Var(bytesFlag{&d.ProgramBytes}, "loaded-code", "how much compiled code is kept in memory while nothing runs it; 0: none")

	v := &s.server
	v.BodyLimit, v.CodeLimit = 64<<20, 64<<20
	flags.Var(bytesFlag{&v.BodyLimit}, "max-body", "largest request body")
	flags.Var(bytesFlag{&v.CodeLimit}, "max-code", "largest upload of a function")
	flags.StringSliceVar(&v.Origins, "origin", nil, "origin of web pages that may use the server, like https://example.org")
	flags.StringSliceVar(&v.Hosts, "host", nil, "name by which clients may call the server, besides localhost")
	flags.BoolVar(&v.AllowRemote, "allow-remote", false, "listen for other machines too, without keys")
	flags.DurationVar(&v.Shutdown, "shutdown", 30*time.Second, "how long what runs may take to finish when the server stops")

	flags.BoolVar(&v.AccessLog, "access-log", false, "log every request")
	flags.StringVar(&s.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// logger makes the log that the flags describe. Lines have no control
// characters that are not escaped.
func (s *serving) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, usage("use debug, info, warn or error", "--log-level %s: there is no such level", s.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(newEscaper(w), opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(newEscaper(w), opts)), nil
	}
	return nil, usage("use text or json", "--log-format %s: there is no such format", s.logFormat)
}

// run puts the parts together, serves until ctx ends, and takes them apart in
// the opposite order.
func (s *serving) run(ctx context.Context, stdout io.Writer, log *slog.Logger) (err error) {
	s.dispatch.MaxCode = s.server.CodeLimit
	s.dispatch.ProgramBytes = max(s.dispatch.ProgramBytes, 1) // less than any program has; 0 would be the default
	scheme := "http"
	if s.tls.given() {
		if err := s.tls.load(); err != nil {
			return err
		}
		scheme, s.server.Certificate = "https", s.tls.get
	}
	listener, err := s.openListener(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = listener.Close() // it is closed already if it was served on
		}
	}()

	reg, err := registry.Open(s.data, registry.Options{Log: log})
	if err != nil {
		return dataFailure(s.data, err)
	}
	defer func() { err = errors.Join(err, reg.Close()) }()

	cache, err := s.openCodeCache(log)
	if err != nil {
		return err
	}
	if cache != nil {
		defer cache.Close()
	}
	s.wasm.Cache, s.wasm.Log = cache, log
	s.wasm.CompileProcesses = s.dispatch.CompileWorkers
	s.wasm.CompileTimeout = max(s.dispatch.CompileTimeout, 0) // the dispatcher refuses others
	//nolint:contextcheck // an engine lives longer than any request
	wasm, err := wasmengine.New(s.wasm)
	if err != nil {
		return fmt.Errorf("make the engine: %w", err)
	}
	defer func() { err = errors.Join(err, wasm.Close()) }()

	metrics := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		wasm, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := metrics.Register(collector); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}

	disp, err := dispatcher.New(s.dispatch, reg, []engine.Engine{wasm}, metrics, log)
	if err != nil {
		return fail(exitUsage, err, "correct the flag; see: pappus serve --help")
	}
	defer func() {
		// Requests have ended or were given up by now; what they started ends at
		// once.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, disp.Close(bounded))
	}()

	srv, err := server.New(s.server, disp, reg, metrics, metrics, log)
	if err != nil {
		return fail(exitUsage, err, "correct the flag; see: pappus serve --help")
	}
	if _, err := fmt.Fprintf(stdout, "listening on %s://%s\n", scheme, listener.Addr()); err != nil {
		return fmt.Errorf("say that the server listens: %w", err)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("version", version),
		slog.String("address", listener.Addr().String()), slog.String("data", s.data),
		slog.String("memory_budget", engine.Bytes(s.dispatch.MemoryBudget).String()))
	err = srv.Serve(ctx, listener)
	log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "stopped")
	return err
}

func (s *serving) openListener(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, fail(exitUsage, err, "name a free address of this machine with --listen, like 127.0.0.1:8081")
	}
	if err := s.server.CheckListen(listener.Addr()); err != nil {
		return nil, errors.Join(fail(exitUsage, err, "listen on 127.0.0.1, or add --allow-remote if the network itself keeps strangers out"), listener.Close())
	}
	return listener, nil
}

// dataFailure tells what is wrong with the data folder.
func dataFailure(dir string, err error) error {
	err = fmt.Errorf("%s: %w", dir, err)
	switch {
	case errors.Is(err, registry.ErrLocked):
		return fail(exitFile, err, "stop the other server, or name another folder with --data")
	case errors.Is(err, registry.ErrFormat):
		return fail(exitFile, err, "use the version of pappus that wrote it, or name another folder with --data")
	case errors.Is(err, registry.ErrDamaged):
		return fail(exitFile, err, "restore the folder from a copy, or name another one with --data")
	}
	return fail(exitFile, err, "check that the folder can be written, or name another one with --data")
}

// openCodeCache opens the part of the data folder in which compiled code is
// kept, or returns nil if none is.
func (s *serving) openCodeCache(log *slog.Logger) (*codecache.Cache, error) {
	if s.codeCache == 0 {
		return nil, nil
	}
	cache, err := codecache.Open(filepath.Join(s.data, "compiled"), codecache.Options{Bytes: s.codeCache, Log: log})
	if err != nil {
		return nil, fail(exitFile, err, "check that the folder can be written, or do without it: --code-cache 0")
	}
	return cache, nil
}

// wasmConfig is that of an engine whose compile processes are this program.
func wasmConfig() wasmengine.Config {
	return wasmengine.Config{Compiler: []string{self, compileWorker}, Caps: binary.DefaultCaps()}
}

// self names this very program, also when its file has been replaced since.
const self = "/proc/self/exe"

// capSetter sets caps of modules by their names.
func capSetter(caps *binary.Caps) func(name, value string) error {
	return func(name, value string) error {
		var names []string
		var to *int
		caps.Each(func(n string, bound *int) {
			names = append(names, n)
			if n == name {
				to = bound
			}
		})
		if to == nil {
			return fmt.Errorf("there is no such limit; there are %s", strings.Join(names, ", "))
		}
		n, err := engine.ParseBytes(value)
		if err != nil || n > math.MaxInt32 {
			return fmt.Errorf("%.40q is not a number or size up to 2GiB", value)
		}
		*to = int(n)
		return nil
	}
}
