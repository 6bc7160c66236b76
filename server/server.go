package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/problem"
	"pappus/server/viewer"
)

// Dispatcher is what the server needs of a dispatcher.
type Dispatcher interface {
	Publish(ctx context.Context, p dispatcher.Publication) (v *registry.Version, created bool, err error)
	PublishComposition(ctx context.Context, p dispatcher.CompositionPublication) (v *registry.Version, created bool, warnings []composition.Diagnostic, err error)
	CheckComposition(ctx context.Context, tenant, name, source string) (engine.Signature, []composition.Diagnostic, error)
	Broken(ctx context.Context, v *registry.Version) *registry.UsesError
	Engines() []string // names, in the order of preference
	Resolve(ctx context.Context, tenant string, ref registry.Ref) (*registry.Version, error)
	Invoke(ctx context.Context, inv dispatcher.Invocation) (*dispatcher.Answer, error)
	Run(tenant, id string) *dispatcher.Record
	Runs(tenant string) []*dispatcher.Record
	PurgeMemo(ctx context.Context, tenant, name string) error
	Forgetter(ctx context.Context, tenant string, ref registry.Ref) func(context.Context) error
	MemoStats(tenant string) (*memo.Stats, []memo.FunctionStats)
	Memory() *dispatcher.Budget
	Ready() error
}

// Registry is what the server needs of a registry, beside what the dispatcher
// does with it.
type Registry interface {
	Tags(ctx context.Context, tenant, name string) (map[string]int64, error)
	Code(ctx context.Context, tenant string, digest data.Digest) ([]byte, error)
	List(ctx context.Context, tenant string, kind registry.Kind, cursor string, limit int) (page []*registry.Version, next string, err error)
	Versions(ctx context.Context, tenant string, kind registry.Kind, name, cursor string, limit int) (page []*registry.Version, next string, err error)
	SetTag(ctx context.Context, tenant, name, tag string, target registry.Ref, change registry.Change) (*registry.Version, error)
	RemoveTag(ctx context.Context, tenant, name, tag string, change registry.Change) error
	Delete(ctx context.Context, tenant string, ref registry.Ref, change registry.Change) error
}

var (
	_ Dispatcher   = (*dispatcher.Dispatcher)(nil)
	_ Registry     = (*registry.Registry)(nil)
	_ http.Handler = (*Server)(nil)
)

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	policy     atomic.Pointer[policy]
	dispatcher Dispatcher
	registry   Registry
	memory     *dispatcher.Budget
	remembers  bool // there is a memo
	gatherer   prometheus.Gatherer
	metrics    *metrics
	log        *slog.Logger
	ids        *requestIDs
	echo       *echo.Echo
	pages      map[problem.Code][]byte
	exchanges  sync.Pool

	viewer      *viewer.File // the page /docs
	viewerFiles map[string]*viewer.File
}

// New makes a server. It registers its metrics with registerer, and /metrics
// shows those of gatherer.
func New(cfg Config, d Dispatcher, reg Registry, gatherer prometheus.Gatherer, registerer prometheus.Registerer, log *slog.Logger) (*Server, error) {
	p, err := newPolicy(cfg, d.Memory(), log)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{
		dispatcher: d,
		registry:   reg,
		memory:     d.Memory(),
		gatherer:   gatherer,
		metrics:    m,
		log:        log,
		ids:        newRequestIDs(),
		echo:       echo.New(),
		pages:      errorPages(),
	}
	stats, _ := d.MemoStats(tenant)
	s.remembers = stats != nil
	if s.viewer, err = viewer.Page(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if s.viewerFiles, err = viewer.Files(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.policy.Store(p)
	s.exchanges.New = func() any {
		x := &exchange{server: s, Context: s.echo.NewContext(nil, nil)}
		x.items[0] = &x.item
		return x
	}
	s.addRoutes()
	return s, nil
}

// handler answers a request, or returns an error that becomes a problem.
type handler func(*exchange) error

// of makes the handler of a route that compositions and functions both have.
func of(kind registry.Kind, h func(*exchange, registry.Kind) error) handler {
	return func(x *exchange) error { return h(x, kind) }
}

func (s *Server) addRoutes() {
	allowed := map[string][]string{}
	for _, r := range []struct {
		method, path string
		h            handler
	}{
		{http.MethodGet, "/", plain(s.home)},
		{http.MethodGet, "/healthz", plain(s.healthz)},
		{http.MethodGet, "/readyz", plain(s.readyz)},
		{http.MethodGet, "/openapi.yaml", plain(s.openAPI)},
		{http.MethodGet, "/docs", plain(s.docs)},
		{http.MethodGet, "/docs/:file", plain(s.docsFile)},
		{http.MethodGet, "/metrics", plain(s.showMetrics)},
		{http.MethodGet, "/errors/:code", plain(s.errorPage)},
		{http.MethodGet, "/v1/functions", of(registry.KindFunction, s.list)},
		{http.MethodPut, "/v1/functions/:ref", s.putFunction},
		{http.MethodGet, "/v1/functions/:ref", s.getFunction},
		{http.MethodDelete, "/v1/functions/:ref", of(registry.KindFunction, s.deleteVersions)},
		{http.MethodGet, "/v1/functions/:ref/versions", of(registry.KindFunction, s.listVersions)},
		{http.MethodGet, "/v1/functions/:ref/code", s.getCode},
		{http.MethodPut, "/v1/functions/:ref/tags/:tag", of(registry.KindFunction, s.putTag)},
		{http.MethodDelete, "/v1/functions/:ref/tags/:tag", of(registry.KindFunction, s.deleteTag)},
		{http.MethodGet, "/v1/compositions", of(registry.KindComposition, s.list)},
		{http.MethodPost, "/v1/compositions/check", s.checkComposition},
		{http.MethodPut, "/v1/compositions/:ref", s.putComposition},
		{http.MethodGet, "/v1/compositions/:ref", s.getComposition},
		{http.MethodDelete, "/v1/compositions/:ref", of(registry.KindComposition, s.deleteVersions)},
		{http.MethodGet, "/v1/compositions/:ref/versions", of(registry.KindComposition, s.listVersions)},
		{http.MethodPut, "/v1/compositions/:ref/tags/:tag", of(registry.KindComposition, s.putTag)},
		{http.MethodDelete, "/v1/compositions/:ref/tags/:tag", of(registry.KindComposition, s.deleteTag)},
		{http.MethodGet, "/v1/invoke/:ref", s.invokeByQuery},
		{http.MethodPost, "/v1/invoke/:ref", s.invoke},
		{http.MethodGet, "/v1/memo", plain(s.getMemo)},
		{http.MethodDelete, "/v1/memo", plain(s.purgeMemo)},
		{http.MethodDelete, "/v1/memo/:ref", plain(s.purgeMemoOf)},
		{http.MethodGet, "/v1/runs", s.listRuns},
		{http.MethodGet, "/v1/runs/:id", plain(s.getRun)},
	} {
		s.addRoute(r.method, r.path, r.h)
		allowed[r.path] = append(allowed[r.path], r.method)
		if r.method == http.MethodGet {
			s.addRoute(http.MethodHead, r.path, r.h) // net/http drops the body
			allowed[r.path] = append(allowed[r.path], http.MethodHead)
		}
	}
	for path, methods := range allowed {
		s.addRoute(http.MethodOptions, path, options(methods))
	}
}

// options says which methods a path has.
func options(methods []string) handler {
	allow := []string{strings.Join(append(methods, http.MethodOptions), ", ")}
	return func(x *exchange) error {
		x.w.Header()["Allow"] = allow
		return x.writeNothing()
	}
}

func (s *Server) addRoute(method, path string, h handler) {
	route := s.metrics.route(path, method)
	s.echo.Add(method, path, func(c echo.Context) error {
		x, ok := c.(*exchange)
		if !ok {
			return errors.New("a route was called with a context that is not an exchange")
		}
		x.route = route
		return h(x)
	})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, _ := s.exchanges.Get().(*exchange)
	s.metrics.inFlight.Inc()
	x.begin(w, r)
	defer s.finish(x) //nolint:contextcheck // the log is written also for clients that are gone
	if err := s.serve(x); err != nil {
		x.fail(err) //nolint:contextcheck // the request of x has the context
	}
}

func (s *Server) serve(x *exchange) error {
	if x.r.ContentLength == 0 {
		x.unhurried()
	}
	if x.r.ProtoMajor > 1 {
		x.writeDeadline(time.Time{}) // when it passes the stream ends, also while nothing is written
	}
	if err := x.policy.guard.check(x.r, x.w.Header()); err != nil {
		return err
	}
	if x.r.Method == http.MethodOptions && x.policy.guard.preflight(x.r, x.w.Header()) {
		return x.writeNothing()
	}
	s.echo.Router().Find(x.r.Method, echo.GetPath(x.r), x.Context)
	return x.Handler()(x)
}

// finish ends an exchange, also after a panic: the client then learns only
// that something went wrong, or gets a broken connection if its answer had
// begun.
func (s *Server) finish(x *exchange) {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint // it is passed on as it is
		s.log.LogAttrs(context.Background(), slog.LevelError, "panic",
			slog.String("request", x.id), slog.String("route", x.route.path),
			slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
		if !x.Response().Committed {
			p := problem.New(problem.Internal, "")
			p.Instance = x.id
			x.writeProblem(p)
			cause = nil
		} else {
			cause = http.ErrAbortHandler
		}
	}
	s.metrics.inFlight.Dec()
	x.route.count(x.Response().Status)
	if x.policy.AccessLog {
		s.log.LogAttrs(context.Background(), slog.LevelInfo, "request",
			slog.String("request", x.id), slog.String("method", x.r.Method), slog.String("path", x.r.URL.Path),
			slog.Int("status", x.Response().Status), slog.Int64("bytes", x.Response().Size),
			slog.Float64("duration_ms", float64(time.Since(x.began).Microseconds())/1000),
			slog.String("remote", x.r.RemoteAddr))
	}
	if x.trace != nil {
		x.seen.Method, x.seen.Route, x.seen.Request, x.seen.Status = x.r.Method, x.route.path, x.id, x.Response().Status
		x.trace.End(x.seen)
	}
	x.end()
	if cause != nil {
		panic(cause) //nolint:forbidigo // it is http.ErrAbortHandler, which net/http closes the connection at
	}
	s.exchanges.Put(x)
}

// ErrUnfinished is returned by Serve if what ran did not finish in time.
var ErrUnfinished = errors.New("requests were still running")

// Serve answers requests on ln until ctx ends, then lets what runs finish, for
// the time that the configuration gives, and returns nil if that was enough;
// otherwise it ends what runs and returns ErrUnfinished.
// It closes ln, and refuses one that other machines can reach unless the
// configuration allows it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	config := s.policy.Load()
	if err := config.CheckListen(ln.Addr()); err != nil {
		return errors.Join(err, ln.Close())
	}
	// What still runs when the time is over ends with this context.
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: config.HeaderTimeout,
		ReadTimeout:       config.Grace, // readBody moves it along
		WriteTimeout:      config.Grace, // for what net/http says by itself; answers have their own
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    config.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       boundUnsent,
		// "OPTIONS *" is answered like any other request.
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols(ln.Addr(), config.Certificate != nil),
		// Over HTTP/2 a stream that is given up is reset by a frame, and a client
		// that takes nothing at all takes none of those: its connection is given up.
		HTTP2: &http.HTTP2Config{WriteByteTimeout: config.Grace},
	}
	serve := hs.Serve
	if config.Certificate != nil {
		hs.TLSConfig = &tls.Config{GetCertificate: config.Certificate, MinVersion: tls.VersionTLS12}
		serve = func(ln net.Listener) error { return hs.ServeTLS(ln, "", "") }
	}
	stopped := make(chan error, 1)
	go func() { stopped <- serve(ln) }()
	select {
	case err := <-stopped: // nobody asked it to
		return fmt.Errorf("server: %w", err)
	case <-ctx.Done():
	}
	patience := s.policy.Load().Shutdown
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := hs.Shutdown(bounded)
	if err != nil {
		abandon()
		err = errors.Join(fmt.Errorf("server: %w after %s: %w", ErrUnfinished, patience.Round(time.Millisecond), err), hs.Close())
	}
	<-stopped //nolint:errcheck // it is http.ErrServerClosed
	return err
}

// protocols are those that are spoken on an address: HTTP/1.1 and HTTP/2, where
// HTTP/2 without TLS is for programs of this machine, which know beforehand that
// it is there.
func protocols(addr net.Addr, secure bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	if secure {
		p.SetHTTP2(true)
	} else {
		p.SetUnencryptedHTTP2(isLocal(addr))
	}
	return p
}
