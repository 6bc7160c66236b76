package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"pappus/chericapengine"
	"pappus/dispatcher"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/iofuncs/blobio"
	"pappus/registry"
	"pappus/server"
	"pappus/wasmengine"
	"pappus/wasmengine/codecache"
)

func (c *commandLine) serveCommand() *cobra.Command {
	config := c.newConfiguration()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server",
		Long: `Runs a server until SIGINT or SIGTERM, then finishes what runs and ends; a second
signal ends it at once. Everything it keeps is in the folder --data.

It prints "listening on http://ADDRESS" to stdout as soon as it takes requests,
and logs to stderr. It listens for this machine only: there are no keys yet, so
whoever reaches it may do everything. It speaks HTTP/1.1 and HTTP/2; with
--tls-cert and --tls-key connections are encrypted.

Each flag can also be set by a variable, PAPPUS_MAX_BODY for --max-body, and in
the file that --config names, as max-body: the flag wins over the variable, and
that over the file. SIGHUP reads the file again; "pappus config print" shows what
holds, and "pappus config check" whether a file is good.`,
		Example: `  pappus serve
  pappus serve --listen 127.0.0.1:0 --data /var/lib/pappus --access-log
  pappus serve --config pappus.yaml
  PAPPUS_MEMORY_BUDGET=4GiB pappus serve --log-format json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.serving.Store(true)
			// From here on SIGHUP ends nothing: it waits until there is a server.
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			s, mistakes, files, err := config.checked(cmd)
			if err != nil {
				return err
			}
			if len(mistakes)+len(files) > 1 || len(mistakes) == 1 { // a file alone is told of by what uses it
				return configFailure(append(mistakes, files...))
			}
			if _, ok := c.lookupEnv("GOGC"); !ok {
				debug.SetGCPercent(gcPercent)
				ballast := make([]byte, gcBallast)
				defer runtime.KeepAlive(ballast)
			}
			if _, ok := c.lookupEnv("GOMEMLIMIT"); !ok {
				debug.SetMemoryLimit(s.heapLimit())
			}
			if _, ok := c.lookupEnv("GOMAXPROCS"); !ok {
				s.spareProcessors()
			}
			log, level := s.logger(c.stderr)
			return s.run(cmd.Context(), c.stdout, log, func(ctx context.Context, disp *dispatcher.Dispatcher, srv *server.Server) {
				r := &reloader{config: config, running: s, level: level, log: log, dispatcher: disp, server: srv}
				r.watch(ctx, hangups)
				if cmd.Context().Err() != nil {
					r.stopping(context.WithoutCancel(ctx))
				}
			})
		},
	}
	config.bind(cmd.Flags())
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
// programs, what is remembered and kept, and what looking at large modules takes. Contexts
// are not in it.
func (s *serving) heapLimit() int64 {
	return s.dispatch.MemoryBudget/4 + s.memo + s.outside.cache + 1<<30
}

// spareProcessors gives Go one processor more than there are functions that
// compute at once: one where no function runs, on which requests are read and
// answers written. The operating system shares the real ones.
func (s *serving) spareProcessors() {
	runtime.GOMAXPROCS(max(s.dispatch.Workers, runtime.GOMAXPROCS(0)) + 1)
}

// logger makes the log that the settings describe, whose level can be changed.
// Lines have no control characters that are not escaped.
func (s *serving) logger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(s.level())
	opts := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(newEscaper(w), opts)), level
	}
	return slog.New(slog.NewTextHandler(newEscaper(w), opts)), level
}

// level is the level of the log.
func (s *serving) level() (level slog.Level) {
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return slog.LevelInfo // the setting takes no such word
	}
	return level
}

// run puts the parts together, serves until ctx ends, and takes them apart in
// the opposite order. While it serves, manage runs beside, until its context
// ends.
func (s *serving) run(ctx context.Context, stdout io.Writer, log *slog.Logger, manage func(context.Context, *dispatcher.Dispatcher, *server.Server)) (err error) {
	defer takeLibraryLog(log)()
	serverConfig, dispatcherConfig := s.parts()
	scheme := "http"
	if s.tlsCert != "" {
		pair, err := readCertificate(s.tlsCert, s.tlsKey)
		if err != nil {
			return fail(exitFile, err, certificateHint)
		}
		s.certificate = new(certificate)
		s.certificate.current.Store(pair)
		scheme, serverConfig.Certificate = "https", s.certificate.get
	}
	listener, err := s.openListener(ctx)
	if err != nil {
		return err
	}
	s.address = scheme + "://" + listener.Addr().String()
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

	native, err := chericapengine.New(s.chericap)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("make the engine for native functions: %w", err), "leave out --native-driver: native functions run in software on every machine")
	}
	defer func() { err = errors.Join(err, native.Close()) }()
	s.engines = map[string]engine.Engine{wasm.Name(): wasm, native.Name(): native}

	if dispatcherConfig.Memo, err = s.openMemo(log); err != nil {
		return err
	}
	if dispatcherConfig.Memo != nil {
		defer dispatcherConfig.Memo.Close()
	}

	metrics := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		wasm, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := metrics.Register(collector); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}

	exporter, err := s.openSpans(log)
	if err != nil {
		return err
	}
	defer closeSpans(ctx, exporter)
	if err := countSpans(metrics, exporter); err != nil {
		return err
	}
	serverConfig.Spans = exporter

	defer func() { err = errors.Join(err, s.outside.close()) }()
	if err := s.outside.open(filepath.Join(s.data, "io-cache"), s.traces.propagate && exporter != nil, metrics, log); err != nil {
		return err
	}
	blobs, err := s.openBuckets(ctx, metrics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	if dispatcherConfig.IOFunctions, err = iofuncs.NewRegistry(append(s.outside.running.client.Functions(), blobs.Functions()...)...); err != nil {
		return fmt.Errorf("list the I/O functions: %w", err)
	}
	disp, err := dispatcher.New(dispatcherConfig, reg, []engine.Engine{wasm, native}, metrics, log)
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

	srv, err := server.New(serverConfig, disp, reg, metrics, metrics, log)
	if err != nil {
		return fail(exitUsage, err, "correct the flag; see: pappus serve --help")
	}
	if _, err := fmt.Fprintf(stdout, "listening on %s\n", s.address); err != nil {
		return fmt.Errorf("say that the server listens: %w", err)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("version", version),
		slog.String("address", listener.Addr().String()), slog.String("data", s.data),
		slog.String("memory_budget", engine.Bytes(s.dispatch.MemoryBudget).String()))
	managed, stop := context.WithCancel(ctx)
	var manager sync.WaitGroup
	manager.Go(func() { manage(managed, disp, srv) })
	if err = srv.Serve(ctx, listener); s.abandons && errors.Is(err, server.ErrUnfinished) {
		err = nil
	}
	stop()
	manager.Wait()
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
		return nil, errors.Join(fail(exitUsage, errors.New(listenMessage(err)), listenHint), listener.Close())
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

// openBuckets opens the buckets of I/O functions.
func (s *serving) openBuckets(ctx context.Context, metrics prometheus.Registerer) (*blobio.Client, error) {
	roots, _, err := s.outside.roots()
	if err != nil {
		return nil, fail(exitFile, err, caBundleHint)
	}
	blobs, err := s.buckets.client(ctx, roots, metrics)
	if err != nil {
		return nil, fail(exitFile, err, bucketsHint)
	}
	return blobs, nil
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

// openMemo makes the memory of results and opens its part of the data folder, or
// returns nil if nothing is to be remembered.
func (s *serving) openMemo(log *slog.Logger) (*memo.Memo, error) {
	folder := filepath.Join(s.data, "memo")
	if s.memo == 0 || s.memoDisk == 0 {
		// Nobody could purge what stays there, and it would be there again one day.
		if err := os.RemoveAll(folder); err != nil {
			return nil, fail(exitFile, fmt.Errorf("remove results from before: %w", err), "remove the folder memo in the data folder")
		}
	}
	if s.memo == 0 {
		return nil, nil
	}
	o := memo.Options{Memory: s.memo, VerifyEvery: uint64(s.memoVerify), Log: log}
	if s.memoDisk > 0 {
		o.Disk = memo.DiskOptions{Dir: folder, Bytes: s.memoDisk}
	}
	m, err := memo.New(o)
	if err != nil {
		return nil, fail(exitFile, err, "check that the folder can be written, or do without it: --memo-disk 0")
	}
	return m, nil
}
