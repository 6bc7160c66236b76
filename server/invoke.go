package server

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/problem"
)

// tenant is whose functions all requests are about until there are keys.
const tenant = "default"

// invoke runs a function or composition on the sets in the request's body and answers with the
// sets that it left.
func (s *Server) invoke(x *exchange) error {
	x.trace = x.policy.Spans.Begin(x.r.Header["Traceparent"])
	version, _, accept, err := s.target(x)
	if err != nil {
		return err
	}
	query, err := parseInvokeQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	inputs, err := x.readInputs(&version.Signature, &query)
	if err != nil {
		return err
	}
	return s.call(x, version, inputs, query.runQuery, accept, parseCaching(x.r))
}

// invokeByQuery runs a function on the texts in the request's query. Only what
// is pure may be called so, because whoever sees a GET feels free to repeat it:
// what applies no I/O function.
func (s *Server) invokeByQuery(x *exchange) error {
	x.trace = x.policy.Spans.Begin(x.r.Header["Traceparent"])
	version, ref, accept, err := s.target(x)
	if err != nil {
		return err
	}
	if x.r.ContentLength != 0 {
		return problem.New(problem.BadRequest, "a GET has its inputs in the query, as in.SET=TEXT, and no body; use POST to send one")
	}
	c := collector{signature: &version.Signature, limit: x.policy.ItemLimit, memory: x}
	query, err := readQuery(x.r.URL.RawQuery, &c)
	if err != nil {
		return err
	}
	query.pure = true
	cache := parseCaching(x.r)
	// The names in a composition may come to mean something else.
	cache.unkept = version.Memo == engine.MemoOff || cache.reuse == dispatcher.ReuseNone
	cache.constant = !ref.Digest.IsZero() && version.Kind == registry.KindFunction
	if err = s.call(x, version, c.done(), query, accept, cache); errors.Is(err, dispatcher.ErrNotPure) {
		x.w.Header().Set("Allow", http.MethodPost)
	}
	return err
}

// target is the function or composition that the path names, and the forms of answers that
// are accepted of it.
func (s *Server) target(x *exchange) (*registry.Version, registry.Ref, accepted, error) {
	ref, err := x.ref()
	if err != nil {
		return nil, ref, nil, err
	}
	version, err := s.dispatcher.Resolve(x.r.Context(), tenant, ref)
	if err != nil {
		return nil, ref, nil, err
	}
	if x.trace != nil {
		if x.seen.Target = version.Name; version.Kind != registry.KindIO {
			x.seen.Target += "@" + strconv.FormatInt(version.Number, 10)
		}
	}
	accept := parseAccept(x.r.Header["Accept"])
	return version, ref, accept, satisfiable(accept, &version.Signature)
}

// call runs a function and answers with what it left.
func (s *Server) call(x *exchange, version *registry.Version, inputs []data.Set, query runQuery, accept accepted, cache caching) error {
	if cache.fresh {
		return &engine.Fault{Kind: engine.FaultNotCached, Detail: "the request wants an answer that is remembered and one that is not"}
	}
	inv := dispatcher.Invocation{
		Tenant: tenant, Target: version, Inputs: inputs, Parallelism: query.parallelism, Trace: query.trace, Pure: query.pure,
		Reuse: cache.reuse, Keyed: len(cache.has) > 0,
	}
	if x.region.mapped != nil {
		inv.Copied = func(content []byte) { x.region.done(content, &x.memory) }
	}
	if x.trace != nil {
		inv.TraceID, inv.Recorded = x.trace.ID(), x.trace.Record
	}
	answer, err := s.dispatcher.Invoke(x.r.Context(), inv)
	if x.trace != nil && answer != nil {
		x.seen.From, x.seen.Fuel = string(answer.From.Source), answer.Usage.Fuel
		x.seen.Queue, x.seen.Prepare, x.seen.Run = answer.Queue, answer.Prepare, answer.Run
	}
	if answer != nil && answer.RunID != "" { // of a run that failed too
		x.setHeader("Pappus-Run", slotRun, answer.RunID)
	}
	if answer != nil && s.remembers && (err == nil || answer.From.Source != "") {
		x.w.Header()["Cache-Status"] = cacheStatus(&answer.From, cache.reuse)
	}
	if err != nil {
		if answer != nil && engine.KindOf(err) != "" {
			x.invocationHeader(answer) // what the run took until it failed
		}
		return err
	}
	defer answer.Release()
	return x.writeAnswer(answer, &version.Signature, accept, &cache)
}

// readInputs reads the body as what its content type and the query say it is.
func (x *exchange) readInputs(sig *engine.Signature, q *invokeQuery) ([]data.Set, error) {
	if err := checkEncoding(x.r); err != nil {
		return nil, err
	}
	kind, boundary := bodyRaw, ""
	if !q.raw() {
		var err error
		if kind, boundary, err = bodyKindOf(x.r.Header["Content-Type"]); err != nil {
			return nil, err
		}
	}
	if kind == bodyRaw {
		return x.readRaw(sig, q)
	}
	body, err := x.readBody(x.policy.BodyLimit, false)
	if err != nil {
		return nil, err
	}
	c := collector{signature: sig, limit: x.policy.ItemLimit, memory: x}
	if kind == bodyJSON {
		err = readJSON(body, &c)
	} else {
		err = readMultipart(body, boundary, &c)
	}
	if err != nil {
		return nil, err
	}
	return c.done(), nil
}

// readRaw makes the body one item.
func (x *exchange) readRaw(sig *engine.Signature, q *invokeQuery) ([]data.Set, error) {
	set, item, err := rawTarget(sig, q)
	if err != nil {
		return nil, err
	}
	body, err := x.readBody(x.policy.BodyLimit, false)
	if err != nil {
		return nil, err
	}
	if set == "" {
		if len(body) > 0 {
			e := problem.New(problem.UnknownSet, "the function takes no input, and the request has a body")
			e.Declared = []string{}
			return nil, e
		}
		return nil, nil
	}
	x.item.Init(item, q.key, body)
	x.items[0] = &x.item
	x.sets[0] = data.Set{Name: set, Items: x.items[:]}
	return x.sets[:], nil
}

// Kinds of bodies.
type bodyKind uint8

const (
	bodyRaw bodyKind = iota
	bodyJSON
	bodyMultipart
)

// bodyKindOf says how a body of that Content-Type is read: everything that is
// neither JSON nor a form is raw.
func bodyKindOf(values []string) (kind bodyKind, boundary string, err error) {
	switch {
	case len(values) == 0:
		return bodyRaw, "", nil
	case len(values) > 1:
		return bodyRaw, "", problem.New(problem.BadRequest, "there are several Content-Type headers")
	}
	value := values[0]
	if !strings.Contains(value, "json") && !strings.Contains(value, "form-data") && strings.ToLower(value) == value {
		return bodyRaw, "", nil // the usual case, without parsing
	}
	typ, params, err := mime.ParseMediaType(value)
	switch bare, _, _ := strings.Cut(strings.ToLower(value), ";"); {
	case typ != typeJSON && typ != "multipart/form-data" && strings.TrimSpace(bare) != typeJSON && strings.TrimSpace(bare) != "multipart/form-data":
		return bodyRaw, "", nil
	case err != nil:
		return bodyRaw, "", problem.New(problem.BadRequest, "Content-Type "+quote(value)+" can't be read: "+err.Error())
	case typ == typeJSON:
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
			return bodyRaw, "", problem.New(problem.BadRequest, "JSON is UTF-8, and not "+quote(charset))
		}
		return bodyJSON, "", nil
	default:
		if boundary = params["boundary"]; boundary == "" || len(boundary) > 70 {
			return bodyRaw, "", problem.New(problem.BadRequest, "the Content-Type multipart/form-data needs a boundary of 1 to 70 characters")
		}
		return bodyMultipart, boundary, nil
	}
}

// checkEncoding refuses compressed bodies: limits are on the bytes that a
// function sees.
func checkEncoding(r *http.Request) error {
	for _, v := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(v), "identity") {
			return problem.New(problem.ContentEncoding, "Content-Encoding is "+quote(v))
		}
	}
	return nil
}
