package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pappus/chericapengine"
	"pappus/cmd/pappus/internal/settings"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/iofuncs/blobio"
	"pappus/iofuncs/httpcache"
	"pappus/iofuncs/httpio"
	"pappus/server"
	"pappus/wasmengine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/codecache"
)

// serving is the configuration of a server.
type serving struct {
	settings *settings.Set // bound to the fields below

	listen, data        string
	logFormat, logLevel string
	codeCache           int64                    // bytes; 0: none
	memo, memoDisk      int64                    // bytes of remembered results; 0: none
	memoVerify          int                      // one of so many hits is computed again; 0: none
	tlsCert, tlsKey     string                   // files; "": connections are not encrypted
	certificate         *certificate             // what is in them, once the server has read them
	address             string                   // URL, once the server listens
	abandons            bool                     // it is no failure if what runs does not finish when the server stops
	engines             map[string]engine.Engine // by name, while the server runs

	outside  outside
	traces   traces
	buckets  buckets
	server   server.Config
	dispatch dispatcher.Config
	wasm     wasmengine.Config
	chericap chericapengine.Config
}

// newServing makes a configuration in which everything has its default.
func newServing() *serving {
	s := &serving{
		listen: "127.0.0.1:8080", data: "pappus-data", logFormat: "text", logLevel: "info",
		codeCache: codecache.DefaultBytes, memo: notSaid, memoDisk: 1 << 30,
		server: server.Config{BodyLimit: 64 << 20, CodeLimit: 64 << 20, Shutdown: 30 * time.Second},
		dispatch: dispatcher.Config{
			Waiting: 1024, QueueTimeout: 5 * time.Second, CompileTimeout: 30 * time.Second, ProgramBytes: dispatcher.DefaultProgramBytes,
		},
		wasm:    wasmConfig(),
		outside: outside{http: httpio.DefaultLimits(), cache: httpcache.DefaultMemory},
		traces:  traces{every: 1},
		buckets: buckets{places: map[string]blobio.Place{}, limits: blobio.DefaultLimits()},
	}
	d, v, o := &s.dispatch, &s.server, &s.outside
	s.settings = settings.New(
		settings.Setting{Name: "listen", Usage: "address to listen on; port 0 picks a free one", Value: settings.Text(&s.listen, "ADDRESS", checkAddress)},
		settings.Setting{Name: "data", Usage: "folder for all that is kept; made if it is not there", Value: settings.Text(&s.data, "FOLDER", anyText)},
		settings.Setting{Name: "tls-cert", Usage: "file of the certificate to encrypt connections with, and of those that sign it (PEM); SIGHUP reads it again", Value: settings.Text(&s.tlsCert, "FILE", anyText), Example: "/etc/pappus/chain.pem"},
		settings.Setting{Name: "tls-key", Usage: "file of its key (PEM); SIGHUP reads it again", Value: settings.Text(&s.tlsKey, "FILE", anyText), Example: "/etc/pappus/key.pem"},

		settings.Setting{Name: "workers", Usage: "functions that compute at once", Value: settings.Count(&d.Workers, 1, dispatcher.MaxWorkers), Computed: "one for each processor", Example: "4"},
		settings.Setting{Name: "memory-budget", Usage: "memory for contexts, bodies and answers together", Value: settings.Size(&d.MemoryBudget, dispatcher.MinMemoryBudget), Computed: "half of the machine's", Example: "4GiB"},
		settings.Setting{Name: "waiting", Usage: "invocations that may wait", Value: settings.Count(&d.Waiting, 1, settings.Unbounded), Live: true},
		settings.Setting{Name: "queue-timeout", Usage: "how long one may wait to start", Value: settings.Time(&d.QueueTimeout), Live: true},
		settings.Setting{Name: "compile-timeout", Usage: "how long compiling a function may take", Value: settings.Time(&d.CompileTimeout)},
		settings.Setting{
			Name: "default-limits", Usage: "limits of functions that ask for none, like memory=64MiB,timeout=2s", Computed: limitsPage, Example: "memory=64MiB,timeout=2s", Live: true,
			Value: settings.Named(func() { d.Defaults = engine.Limits{} }, limitSetter(&d.Defaults, dispatcher.HighestLimits())),
		},
		settings.Setting{
			Name: "max-limits", Usage: "highest limits that a function may ask for; names as for --default-limits", Computed: limitsPage, Example: "memory=1GiB,timeout=1m", Live: true,
			Value: settings.Named(func() { d.Maximum = engine.Limits{} }, limitSetter(&d.Maximum, dispatcher.HighestLimits())),
		},
		settings.Setting{
			Name: "run-limits", Usage: "limits of a composition's run, like time=1m,instances=1000", Computed: limitsPage, Example: "time=1m,instances=1000", Live: true,
			Value: settings.Named(func() { d.Run = dispatcher.RunLimits{} }, d.Run.Set),
		},
		settings.Setting{
			Name: "module-limits", Usage: "what a wasm module may have, like functions=1000,body=1MiB", Computed: limitsPage, Example: "functions=1000,body=1MiB",
			Value: settings.Named(func() { s.wasm.Caps = binary.DefaultCaps() }, capSetter(&s.wasm.Caps)),
		},
		settings.Setting{Name: "native-driver", Usage: "have the processor run native functions itself, which must be Morello's; see docs/native.md", Value: settings.Bool(&s.chericap.Native)},
		settings.Setting{Name: "code-cache", Usage: "how much compiled code is kept in the data folder; 0: none", Value: settings.Size(&s.codeCache, 0)},
		settings.Setting{Name: "loaded-code", Usage: "how much compiled code is kept in memory while nothing runs it; 0: none", Value: settings.Size(&d.ProgramBytes, 0), Live: true},

		settings.Setting{Name: "memo", Usage: "memory for remembered results, besides memory-budget; 0: nothing is remembered", Value: settings.Size(&s.memo, 0), Computed: "a sixteenth of memory-budget, at least 16MiB", Example: "256MiB"},
		settings.Setting{Name: "memo-disk", Usage: "how much is kept of results in the data folder, for after a restart; 0: none", Value: settings.Size(&s.memoDisk, 0)},
		settings.Setting{Name: "memo-verify", Usage: "one of so many remembered results is computed again when nothing else is to be done, and compared; 0: none", Value: settings.Count(&s.memoVerify, 0, settings.Unbounded)},

		settings.Setting{Name: "max-body", Usage: "largest request body", Value: settings.Size(&v.BodyLimit, 1), Live: true},
		settings.Setting{Name: "max-code", Usage: "largest upload of a function", Value: settings.Size(&v.CodeLimit, 1), Live: true},
		settings.Setting{Name: "origin", Usage: "origin of web pages that may use the server, like https://example.org", Value: settings.Texts(&v.Origins, checkOrigin), Example: "https://example.org", Live: true},
		settings.Setting{Name: "host", Usage: "name by which clients may call the server, besides localhost", Value: settings.Texts(&v.Hosts, checkHost), Example: "pappus.example.org", Live: true},
		settings.Setting{Name: "allow-remote", Usage: "listen for other machines too, without keys", Value: settings.Bool(&v.AllowRemote)},
		settings.Setting{Name: "shutdown", Usage: "how long what runs may take to finish when the server stops", Value: settings.Time(&v.Shutdown), Live: true},

		settings.Setting{Name: "egress-allow", Usage: "HOST, address or network, and a port if it is one only, that I/O functions may connect to; see docs/io.md", Value: settings.Texts(&o.allow, checkAllowed), Example: "logs.internal:8080", Live: true},
		settings.Setting{Name: "egress-deny", Usage: "the same of what they may not connect to; *: nothing that egress-allow does not name", Value: settings.Texts(&o.deny, checkRule), Example: "198.18.0.0/15", Live: true},
		settings.Setting{Name: "ca-bundle", Usage: "file of authorities (PEM) whose certificates are accepted of servers that functions call and of the one of traces, besides the system's; SIGHUP reads it again for the first", Value: settings.Text(&o.caBundle, "FILE", anyText), Example: "/etc/pappus/ca.pem", Live: true},
		settings.Setting{Name: "proxy", Usage: "URL of a proxy that makes the connections of I/O functions, like http://proxy.example.org:3128", Value: settings.Text(&o.proxy, "URL", checkProxy), Example: "http://proxy.example.org:3128", Live: true},
		settings.Setting{Name: "proxy-credentials", Usage: "file with USER:PASSWORD for it; SIGHUP reads it again", Value: settings.Text(&o.proxyCredentials, "FILE", anyText), Example: "/etc/pappus/proxy", Live: true},
		settings.Setting{Name: "io-cache", Usage: "memory for answers that HTTP lets functions use again, besides memory-budget; 0: none are kept", Value: settings.Size(&o.cache, 0)},
		settings.Setting{Name: "io-cache-disk", Usage: "how much is kept of such answers in the data folder, for after a restart; 0: none", Value: settings.Size(&o.cacheDisk, 0)},
		settings.Setting{
			Name: "io-limits", Usage: "limits of I/O functions' calls, like calls=256,tenant-calls=128", Computed: ioPage, Example: "calls=256,tenant-calls=128",
			Value: settings.Named(func() { d.IO = dispatcher.IOLimits{} }, d.IO.Set),
		},
		settings.Setting{
			Name: "http-limits", Usage: "limits of requests that HTTP makes, like body=64MiB,total=5m", Computed: ioPage, Example: "body=64MiB,total=5m",
			Value: settings.Named(func() { o.http = httpio.DefaultLimits() }, httpLimitSetter(&o.http)),
		},

		settings.Setting{Name: "traces", Usage: "URL that takes spans of invocations by OTLP over HTTP; see docs/traces.md", Value: settings.Text(&s.traces.url, "URL", checkTraces), Example: "http://127.0.0.1:4318"},
		settings.Setting{Name: "traces-every", Usage: "one of so many invocations is traced", Value: settings.Count(&s.traces.every, 1, settings.Unbounded)},
		settings.Setting{Name: "traces-propagate", Usage: "tell servers that HTTP calls which trace a request belongs to", Value: settings.Bool(&s.traces.propagate)},
		settings.Setting{
			Name: "buckets", Usage: "URLs of buckets by the names that functions know, like results=file:///var/lib/blobs; see docs/io.md", Example: "results=file:///var/lib/blobs,logs=s3://logs?region=eu-central-1",
			Value: settings.Named(func() { s.buckets.places = map[string]blobio.Place{} }, s.buckets.name),
		},
		settings.Setting{Name: "bucket-grants", Usage: "TENANT:BUCKET:ro or TENANT:BUCKET:rw, who may read a bucket, or read and write; a bucket that no grant names is the tenant default's", Value: settings.Texts(&s.buckets.grants, checkGrant), Example: "default:logs:ro"},
		settings.Setting{
			Name: "blob-limits", Usage: "limits of blobs, like size=64MiB,total=5m", Computed: ioPage, Example: "size=64MiB,total=5m",
			Value: settings.Named(func() { s.buckets.limits = blobio.DefaultLimits() }, func(name, value string) error { return setLimit(blobLimits(&s.buckets.limits), name, value) }),
		},

		settings.Setting{Name: "access-log", Usage: "log every request", Value: settings.Bool(&v.AccessLog), Live: true},
		settings.Setting{Name: "log-format", Usage: "text or json", Value: settings.Choice(&s.logFormat, logFormats()...)},
		settings.Setting{Name: "log-level", Usage: "debug, info, warn or error", Value: settings.Choice(&s.logLevel, logLevels()...), Live: true},
	)
	return s
}

func logFormats() []string { return []string{"text", "json"} }

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// limitsPage and ioPage have the defaults of limits.
const (
	limitsPage = "those of docs/limits.md"
	ioPage     = "those of docs/io.md"
)

// wasmConfig is that of an engine whose compile processes are this program.
func wasmConfig() wasmengine.Config {
	return wasmengine.Config{Compiler: []string{self, compileWorker}, Caps: binary.DefaultCaps()}
}

// self names this very program, also when its file has been replaced since.
const self = "/proc/self/exe"

// notSaid is what the memory for remembered results is until it is found out.
const notSaid = -1

// The memory for remembered results, where nobody said it: a share of the budget.
const (
	memoShare   = 16
	defaultMemo = 16 << 20 // at least
	leastMemo   = 64 << 10 // that could hold anything
)

// findOut sets what depends on the machine where nobody said it.
func (s *serving) findOut() {
	if s.dispatch.MemoryBudget == 0 {
		s.dispatch.MemoryBudget = memoryBudget(os.DirFS("/"))
	}
	if s.dispatch.Workers == 0 {
		s.dispatch.Workers = min(runtime.GOMAXPROCS(0), dispatcher.MaxWorkers)
	}
	if s.memo == notSaid {
		s.memo = max(s.dispatch.MemoryBudget/memoShare, defaultMemo)
	}
}

// showFound has the settings shown with what was found out, and with what holds
// of those that were said only in part.
func (s *serving) showFound() {
	defaults, maximum := s.dispatch.Limits()
	s.settings.ShowAll("default-limits", limitPairs(defaults))
	s.settings.ShowAll("max-limits", limitPairs(maximum))
	var run, caps []settings.Pair
	s.dispatch.RunLimits().Each(func(name, value string) { run = append(run, settings.Pair{Name: name, Value: value}) })
	s.settings.ShowAll("run-limits", run)
	var calls []settings.Pair
	s.dispatch.IOLimits().Each(func(name, value string) { calls = append(calls, settings.Pair{Name: name, Value: value}) })
	s.settings.ShowAll("io-limits", calls)
	s.settings.ShowAll("http-limits", httpLimitPairs(s.outside.http))
	s.settings.ShowAll("blob-limits", blobLimitPairs(s.buckets.limits))
	s.wasm.Caps.Each(func(name string, bound *int) {
		text := strconv.Itoa(*bound)
		if name == "module" || name == "body" {
			text = engine.Bytes(*bound).String()
		}
		caps = append(caps, settings.Pair{Name: name, Value: text})
	})
	s.settings.ShowAll("module-limits", caps)
	s.settings.Show("memory-budget", engine.Bytes(s.dispatch.MemoryBudget).String())
	s.settings.Show("workers", strconv.Itoa(s.dispatch.Workers))
	s.settings.Show("memo", engine.Bytes(s.memo).String())
}

// limitPairs are limits as a setting has them, without a fuel that limits
// nothing.
func limitPairs(l engine.Limits) []settings.Pair {
	pairs := []settings.Pair{
		{Name: "memory", Value: l.Memory.String()}, {Name: "stack", Value: l.Stack.String()}, {Name: "output", Value: l.Output.String()},
		{Name: "items", Value: strconv.Itoa(l.Items)}, {Name: "timeout", Value: l.Timeout.String()},
	}
	if l.Fuel > 0 && l.Fuel < math.MaxInt64 {
		pairs = append(pairs, settings.Pair{Name: "fuel", Value: strconv.FormatInt(l.Fuel, 10)})
	}
	return pairs
}

// parts are the configurations of the parts, of which some depend on the same
// setting.
func (s *serving) parts() (server.Config, dispatcher.Config) {
	d := s.dispatch
	d.MaxCode = s.server.CodeLimit
	d.ProgramBytes = max(d.ProgramBytes, 1) // less than any program has; 0 would be the default
	return s.server, d
}

// check finds what is wrong with settings together, each of which is right by
// itself. The error is settings.Errors.
func (s *serving) check() error {
	if errs := s.contradictions(nil); len(errs) > 0 {
		return errs
	}
	return nil
}

// contradictions is check where some settings are wrong by themselves, of which
// nothing is said.
func (s *serving) contradictions(wrong map[string]bool) (errs settings.Errors) {
	good := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return wrong[name] })
	}
	v, d := s.parts()
	var refused *engine.LimitError
	switch err := d.Check(); {
	case err == nil:
	case errors.As(err, &refused): // a maximum by itself has been checked
		if good("default-limits", "max-limits", "memory-budget") {
			errs = append(errs, s.mistake("default-limits", refused.Limit+" "+refused.Reason, "lower the default, or raise max-limits"))
		}
	case len(wrong) == 0:
		errs = append(errs, s.mistake("", err.Error(), ""))
	}
	if err := v.Check(); err != nil && len(wrong) == 0 {
		errs = append(errs, s.mistake("", err.Error(), ""))
	}
	if s.memo > 0 && s.memo < leastMemo && good("memo") {
		errs = append(errs, s.mistake("memo", engine.Bytes(s.memo).String()+" is too little to remember anything", "give at least "+engine.Bytes(leastMemo).String()+", or 0 to remember nothing"))
	}
	if o := &s.outside; o.proxy == "" && o.proxyCredentials != "" && good("proxy", "proxy-credentials") {
		errs = append(errs, s.mistake("proxy-credentials", "proxy-credentials needs proxy", "say which proxy they are for, as http://proxy.example.org:3128"))
	}
	if o := &s.outside; o.cache > 0 && o.cache < leastIOCache && good("io-cache") {
		errs = append(errs, s.mistake("io-cache", engine.Bytes(o.cache).String()+" is too little to keep an answer", "give at least "+engine.Bytes(leastIOCache).String()+", or 0 to keep none"))
	}
	if o := &s.outside; o.cache == 0 && o.cacheDisk > 0 && good("io-cache", "io-cache-disk") {
		errs = append(errs, s.mistake("io-cache-disk", "io-cache-disk has no effect with io-cache 0", "leave out io-cache, or io-cache-disk"))
	}
	if good("tls-cert", "tls-key") {
		if s.tlsCert == "" && s.tlsKey != "" {
			errs = append(errs, s.mistake("tls-key", "tls-key needs tls-cert", certificateHint))
		} else if s.tlsCert != "" && s.tlsKey == "" {
			errs = append(errs, s.mistake("tls-cert", "tls-cert needs tls-key", certificateHint))
		}
	}
	if stray := s.buckets.strayGrant(); stray != "" && good("buckets", "bucket-grants") {
		errs = append(errs, s.mistake("bucket-grants", "there is no bucket "+stray, "name it with buckets, or leave out its grants"))
	}
	if name := s.buckets.inData(s.data); name != "" && good("buckets", "data") {
		errs = append(errs, s.mistake("buckets", name+": its folder is the server's data folder, or one of them is in the other", "name another folder: functions could read and change all that the server keeps"))
	}
	if addr, ok := literalAddress(s.listen); ok && good("listen", "allow-remote") {
		if err := v.CheckListen(addr); err != nil {
			errs = append(errs, s.mistake("listen", listenMessage(err), listenHint))
		}
	}
	return errs
}

// listenMessage is why an address is none to listen on.
func listenMessage(err error) string {
	what, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "server: "), ": listen on ") // listenHint says what to do
	return what
}

const listenHint = "listen on 127.0.0.1, or add --allow-remote if the network itself keeps strangers out"

// mistake is an error of a setting, at the place where its value comes from.
func (s *serving) mistake(name, message, hint string) *settings.Error {
	e := &settings.Error{Key: name, Message: message, Hint: hint}
	setting := s.settings.Lookup(name)
	if setting == nil {
		return e
	}
	switch p := setting.Place(); p.Kind {
	case settings.FromFile:
		e.File, e.Line = p.File, p.Line
	case settings.FromVariable:
		e.Variable = p.Name
	default:
		e.Flag = "--" + name
	}
	return e
}

// fileMistakes finds what keeps the files and folders that the settings name
// from being used, as far as it can be known without making any. Of settings that
// are wrong by themselves nothing is said.
func (s *serving) fileMistakes(wrong map[string]bool) (errs settings.Errors) {
	if s.tlsCert != "" && s.tlsKey != "" && !wrong["tls-cert"] && !wrong["tls-key"] {
		if _, err := readCertificate(s.tlsCert, s.tlsKey); err != nil {
			errs = append(errs, s.mistake("tls-cert", err.Error(), certificateHint))
		}
	}
	if !wrong["ca-bundle"] {
		if _, _, err := s.outside.roots(); err != nil {
			errs = append(errs, s.mistake("ca-bundle", err.Error(), caBundleHint))
		}
	}
	if !wrong["proxy"] && !wrong["proxy-credentials"] {
		if _, _, err := s.outside.makeProxy(); err != nil {
			errs = append(errs, s.mistake("proxy-credentials", err.Error(), proxyHint))
		}
	}
	if !wrong["buckets"] && !wrong["blob-limits"] {
		if err := s.buckets.unusable(); err != nil {
			errs = append(errs, s.mistake("buckets", err.Error(), bucketsHint))
		}
	}
	if wrong["data"] {
		return errs
	}
	if err := s.checkData(); err != nil {
		errs = append(errs, s.mistake("data", err.Error(), "name a folder that this user can write, or make it possible"))
	}
	return errs
}

// checkData finds what keeps the data folder from being made or used.
func (s *serving) checkData() error {
	dir, err := filepath.Abs(s.data)
	for err == nil {
		var info os.FileInfo
		switch info, err = os.Stat(dir); {
		case err == nil && !info.IsDir():
			err = fmt.Errorf("%s is not a folder", dir)
		case err == nil:
			if err = unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
				return fmt.Errorf("%s can't be written: %w", dir, err)
			}
			return checkStorage(dir)
		case errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir):
			dir, err = filepath.Dir(dir), nil // the server makes what is missing
		}
	}
	return err
}

// checkStorage refuses folders in which the system shows itself: they look as
// if they could be written, and keep nothing.
func checkStorage(dir string) error {
	var info unix.Statfs_t
	if err := unix.Statfs(dir, &info); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	switch info.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return fmt.Errorf("%s is a part of the system, and keeps no files", dir)
	}
	return nil
}

func anyText(string) error { return nil }

// checkAddress accepts HOST:PORT.
func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%.80q is not an address with a port, like 127.0.0.1:8080 or [::1]:8080", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%.20q is not a port: a number up to 65535", port)
	}
	if host == "" {
		return nil // all addresses
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return checkName(host)
}

// literalAddress is an address to listen on, if it is known without asking for
// a name.
func literalAddress(text string) (net.Addr, bool) {
	if port, ok := strings.CutPrefix(text, ":"); ok {
		text = "[::]:" + port
	}
	addr, err := netip.ParseAddrPort(text)
	return net.TCPAddrFromAddrPort(addr), err == nil
}

var label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// checkName accepts names of machines as they stand in requests.
func checkName(text string) error {
	const most = 253
	if len(text) > most {
		return fmt.Errorf("%.40q… is longer than a name can be", text)
	}
	for part := range strings.SplitSeq(text, ".") {
		if !label.MatchString(part) {
			return fmt.Errorf("%.80q is not a name like pappus.example.org; international ones are written in their xn-- form", text)
		}
	}
	return nil
}

// checkHost accepts names by which clients may call the server.
func checkHost(text string) error {
	if strings.Contains(text, "*") {
		return fmt.Errorf("%.80q is a pattern; give each name", text)
	}
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return fmt.Errorf("%.80q is an address; those of this machine are always allowed, and allow-remote allows the others", text)
	}
	name, port, _ := strings.Cut(text, ":")
	if _, err := strconv.ParseUint(port, 10, 16); err == nil && checkName(name) == nil {
		return fmt.Errorf("%.80q has a port; give the name alone: %s", text, name)
	}
	if strings.HasSuffix(text, ".") && checkName(strings.TrimSuffix(text, ".")) == nil {
		return fmt.Errorf("%.80q ends in a dot; leave that out", text)
	}
	return checkName(text)
}

// checkOrigin accepts origins exactly as browsers send them.
func checkOrigin(text string) error {
	switch {
	case strings.Contains(text, "*"):
		return fmt.Errorf("%.80q would let every web page use the server; give each origin, like https://example.org", text)
	case text == "null":
		return errors.New("null is what pages without an origin send, anybody's among them; serve the page from an address")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%.80q is not an origin; browsers send them like https://example.org or http://localhost:3000", text)
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		host = ip.String()
	} else if err := checkName(host); err != nil {
		return err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%.20q is not a port: a number from 1 to 65535", port)
		}
		if usual := u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443; !usual {
			host += ":" + strconv.FormatUint(n, 10)
		}
	}
	if sent := u.Scheme + "://" + host; sent != text {
		return fmt.Errorf("%.80q is not what browsers send; write %s", text, sent)
	}
	return nil
}

// limitSetter sets limits of functions by their names, within those that are
// not zero.
func limitSetter(limits *engine.Limits, highest engine.Limits) func(name, value string) error {
	return func(name, value string) error {
		var one engine.Limits
		if err := one.Set(name, value); err != nil {
			return err
		}
		var refused *engine.LimitError
		if err := one.Check(highest); errors.As(err, &refused) {
			return errors.New("it " + refused.Reason)
		}
		return limits.Set(name, value)
	}
}

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
		if n == 0 && slices.Contains([]string{"module", "body", "name"}, name) {
			return errors.New("with 0 there could be no function at all")
		}
		*to = int(n)
		return nil
	}
}
