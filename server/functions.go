package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pappus/dispatcher"
	"pappus/internal/multiparts"
	"pappus/registry"
	"pappus/server/api"
	"pappus/server/problem"
)

// describe makes a version's JSON. Of several engines the one shown is the first in
// the order of preference.
func describe(v *registry.Version, tags map[string]int64, engines []string) api.Function {
	b := api.Function{
		Name: v.Name, Version: v.Number, Digest: v.Digest, Code: make(map[string]api.Code, len(v.Code)),
		Inputs: v.Signature.Inputs, Outputs: v.Signature.Outputs, Open: v.Signature.Open,
		Limits: v.Limits, Layout: v.Layout, Memo: v.Memo, Description: v.Description, Tags: tags, Created: v.Created,
	}
	for name, ref := range v.Code {
		b.Code[name] = api.Code(ref)
	}
	// Behind them what an engine may have left that is not there any more.
	for _, name := range append(engines, slices.Sorted(maps.Keys(v.Code))...) {
		if ref, ok := v.Code[name]; ok {
			b.Engine, b.CodeDigest, b.Size = name, ref.Digest, ref.Size
			break
		}
	}
	return b
}

// putFunction registers code as a version of a function.
func (s *Server) putFunction(x *exchange) error {
	ctx := x.r.Context()
	name, err := x.name()
	if err != nil {
		return err
	}
	if registry.Reserved(name) {
		return problem.New(problem.ReservedName, quote(name)+" belongs to an I/O function")
	}
	query, err := parsePublishQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := checkEncoding(x.r); err != nil {
		return err
	}
	body, err := x.readBody(x.policy.CodeLimit, true)
	if err != nil {
		return err
	}
	var implementations map[string][]byte
	if kind, boundary, err := bodyKindOf(x.r.Header["Content-Type"]); err != nil {
		return err
	} else if kind == bodyMultipart {
		if implementations, err = codeOfForm(body, boundary); err != nil {
			return err
		}
	}
	v, created, err := s.dispatcher.Publish(ctx, dispatcher.Publication{
		Tenant: tenant, Name: name, Code: body, ContentType: x.r.Header.Get("Content-Type"), Implementations: implementations,
		HasSignature: query.signature, Inputs: query.inputs, Outputs: query.outputs,
		Limits: query.limits, Memo: query.memo, Tags: query.tags, Force: query.force,
	})
	if err != nil {
		return err
	}
	return s.answerVersion(x, x.created(created, "/v1/functions/", v), v)
}

// created is the status of a registration, and says where a new version is.
func (x *exchange) created(created bool, path string, v *registry.Version) int {
	if !created {
		return http.StatusOK
	}
	x.w.Header()["Location"] = []string{path + v.Name + "@" + strconv.FormatInt(v.Number, 10)}
	return http.StatusCreated
}

// codeOfForm takes the code out of a form with a part for each engine. As in
// readMultipart, it moves to the front of body, where it stays.
func codeOfForm(body []byte, boundary string) (code map[string][]byte, err error) {
	if err := checkClosed(body, boundary); err != nil {
		return nil, err
	}
	parts := multiparts.NewReader(bytes.NewReader(body), boundary)
	code = make(map[string][]byte)
	free := body
	for i := 0; ; i++ {
		part, err := parts.Next()
		if err == io.EOF && i > 0 { //nolint:errorlint // whatever else ends with it is not whole
			return code, nil
		}
		if err != nil {
			return nil, located(partPath(i), "the part can't be read: "+err.Error())
		}
		form, err := formData(part.Header)
		if err != nil {
			return nil, locate(err, partPath(i))
		}
		name := form["name"]
		if _, twice := code[name]; twice {
			return nil, located(partPath(i), "there is more than one part for the engine "+quote(name))
		}
		const most = 8 // more engines than there are
		if i >= most {
			return nil, located(partPath(i), "there are more parts than engines")
		}
		n, err := readFull(part, free)
		if err != nil {
			return nil, located(partPath(i), "the part can't be read: "+err.Error())
		}
		code[strings.Clone(name)], free = free[:n:n], free[n:]
	}
}

// answerVersion answers with a version and the tags that name it.
func (s *Server) answerVersion(x *exchange, status int, v *registry.Version) error {
	tags, err := s.tags(x, v.Name)
	if err != nil {
		return err
	}
	return x.writeJSON(status, s.document(x, v, tags))
}

// tags are those of a name, none if it was deleted in between, which does not
// undo what was done.
func (s *Server) tags(x *exchange, name string) (map[string]int64, error) {
	tags, err := s.registry.Tags(x.r.Context(), tenant, name)
	var gone *registry.NotFoundError
	if errors.As(err, &gone) {
		return map[string]int64{}, nil
	}
	return tags, err
}

// document is a version's JSON.
func (s *Server) document(x *exchange, v *registry.Version, tags map[string]int64) any {
	if v.Kind == registry.KindComposition {
		c := describeComposition(v, tags)
		if broken := s.dispatcher.Broken(x.r.Context(), v); broken != nil {
			c.Broken = broken.Error()
		}
		return c
	}
	return describe(v, tags, s.dispatcher.Engines())
}

func (s *Server) getFunction(x *exchange) error {
	v, err := s.resolve(x)
	if err != nil {
		return err
	}
	return s.answerVersion(x, http.StatusOK, v)
}

// resolve finds the function's version that the path names, on routes without
// parameters.
func (s *Server) resolve(x *exchange) (*registry.Version, error) {
	return s.resolveKind(x, registry.KindFunction)
}

// resolveKind finds the version of that kind that the path names, on routes
// without parameters.
func (s *Server) resolveKind(x *exchange, kind registry.Kind) (*registry.Version, error) {
	if err := noQuery(x.r.URL.RawQuery); err != nil {
		return nil, err
	}
	return s.resolveName(x, kind)
}

// resolveName finds the version of that kind that the path names.
func (s *Server) resolveName(x *exchange, kind registry.Kind) (*registry.Version, error) {
	ref, err := x.ref()
	if err != nil {
		return nil, err
	}
	v, err := s.dispatcher.Resolve(x.r.Context(), tenant, ref)
	var missing *registry.NotFoundError
	switch {
	case errors.As(err, &missing) && missing.What == string(registry.KindFunction): // which stands for both
		return nil, &registry.NotFoundError{What: string(kind), Name: missing.Name}
	case err == nil && v.Kind == registry.KindIO:
		return nil, ioFunctionProblem(v, kind)
	case err == nil && v.Kind != kind:
		return nil, &registry.NotFoundError{What: string(kind), Name: v.Name, Other: v.Kind}
	}
	return v, err
}

// ioFunctionProblem says what an I/O function is, which nobody registered.
func ioFunctionProblem(v *registry.Version, kind registry.Kind) error {
	p := missingProblem(&registry.NotFoundError{What: string(kind), Name: v.Name, Other: v.Kind})
	p.Detail += fmt.Sprintf(": %s(%s) => (%s)", v.Name, strings.Join(names(v.Signature.Inputs), ", "), strings.Join(names(v.Signature.Outputs), ", "))
	p.Inputs, p.Outputs = v.Signature.Inputs, v.Signature.Outputs
	p.Hint = "It is a part of the server: apply it in a composition by its name, or invoke it; docs/compositions.md describes it."
	return p
}

// change is how the request wants a change of something of that kind.
func (x *exchange) change(kind registry.Kind) (registry.Change, error) {
	force, err := parseForce(x.r.URL.RawQuery)
	return registry.Change{Kind: kind, Force: force}, err
}

// deleteVersions deletes a name of a kind, or one version.
func (s *Server) deleteVersions(x *exchange, kind registry.Kind) error {
	ref, err := x.ref()
	if err != nil {
		return err
	}
	change, err := x.change(kind)
	if err != nil {
		return err
	}
	forget := s.dispatcher.Forgetter(x.r.Context(), tenant, ref)
	if err := s.registry.Delete(x.r.Context(), tenant, ref, change); err != nil {
		return err
	}
	if err := forget(context.WithoutCancel(x.r.Context())); err != nil {
		s.log.WarnContext(x.r.Context(), "results of what was deleted are still on disk", slog.String("name", ref.Name), slog.Any("error", err))
	}
	return x.writeNothing()
}

// page is a page of versions of either kind.
type page struct {
	Items []any  `json:"items"`
	Next  string `json:"next,omitempty"`
}

// list answers with a page of what there is of a kind.
func (s *Server) list(x *exchange, kind registry.Kind) error {
	ctx := x.r.Context()
	q, err := parsePageQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if q.cursor != "" {
		if err := registry.CheckName(q.cursor); err != nil {
			return badParameter("cursor", "is not one that a list returned")
		}
	}
	versions, next, err := s.registry.List(ctx, tenant, kind, q.cursor, q.limit)
	if err != nil {
		return err
	}
	body := page{Items: make([]any, 0, len(versions)), Next: next}
	for _, v := range versions {
		tags, err := s.registry.Tags(ctx, tenant, v.Name)
		var missing *registry.NotFoundError
		if errors.As(err, &missing) {
			continue // deleted since the page was read
		}
		if err != nil {
			return err
		}
		body.Items = append(body.Items, s.document(x, v, tags))
	}
	return x.writeCharged(body)
}

// listVersions answers with a page of the versions of a name of a kind.
func (s *Server) listVersions(x *exchange, kind registry.Kind) error {
	ctx := x.r.Context()
	name, err := x.name()
	if err != nil {
		return err
	}
	q, err := parsePageQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	versions, next, err := s.registry.Versions(ctx, tenant, kind, name, q.cursor, q.limit)
	var cursor *registry.NameError
	if errors.As(err, &cursor) {
		return badParameter("cursor", "is not one that a list returned")
	}
	if err != nil {
		return err
	}
	tags, err := s.registry.Tags(ctx, tenant, name)
	if err != nil {
		return err
	}
	body := page{Items: make([]any, 0, len(versions)), Next: next}
	for _, v := range versions {
		body.Items = append(body.Items, s.document(x, v, tags))
	}
	return x.writeCharged(body)
}

// getCode answers with the bytes of a version's code, as they were sent.
func (s *Server) getCode(x *exchange) error {
	name, err := parseEngine(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	v, err := s.resolveName(x, registry.KindFunction)
	if err != nil {
		return err
	}
	shown := describe(v, nil, s.dispatcher.Engines())
	if name != "" {
		ref, ok := v.Code[name]
		if !ok {
			return badParameter(engineParameter, quote(name)+" is no engine that this version has code for; it has "+strings.Join(slices.Sorted(maps.Keys(v.Code)), ", "))
		}
		shown.CodeDigest, shown.Size = ref.Digest, ref.Size
	}
	// A client that reads slowly holds it in memory.
	if x.memory, err = s.memory.Reserve(x.r.Context(), shown.Size); err != nil {
		return err
	}
	code, err := s.registry.Code(x.r.Context(), tenant, shown.CodeDigest)
	if err != nil {
		return err
	}
	typ, ending := "application/wasm", "wasm"
	if bytes.HasPrefix(code, []byte("\x7fELF")) {
		typ, ending = "application/x-elf", "elf"
	}
	h := x.w.Header()
	h["Content-Disposition"] = []string{`attachment; filename="` + v.Name + `.` + ending + `"`}
	h["Etag"] = []string{`"` + shown.CodeDigest.String() + `"`}
	return x.writePage(typ, code)
}

// maxTarget is the largest body of a request that moves a tag, in bytes.
const maxTarget = 4 << 10

// putTag makes a tag of something of a kind name the version in the body: its
// number or digest, as text or as JSON.
func (s *Server) putTag(x *exchange, kind registry.Kind) error {
	name, err := x.name()
	if err != nil {
		return err
	}
	change, err := x.change(kind)
	if err != nil {
		return err
	}
	if err := checkEncoding(x.r); err != nil {
		return err
	}
	body, err := x.readBody(maxTarget, false)
	if err != nil {
		return err
	}
	target, err := parseTarget(name, body)
	if err != nil {
		return err
	}
	v, err := s.registry.SetTag(x.r.Context(), tenant, name, x.param("tag"), target, change)
	if err != nil {
		return err
	}
	return s.answerVersion(x, http.StatusOK, v)
}

// parseTarget reads `3`, `sha256:…`, `{"version": 3}` or `{"digest": "sha256:…"}`.
func parseTarget(name string, body []byte) (registry.Ref, error) {
	text := strings.TrimSpace(string(body))
	version := text
	switch {
	case strings.HasPrefix(text, "{"):
		var ok bool
		if version, ok = targetMember(text); !ok {
			return registry.Ref{}, badTarget(text)
		}
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(body, &version); err != nil {
			return registry.Ref{}, badTarget(text)
		}
	}
	ref, err := registry.ParseRef(name + "@" + version)
	if err != nil || ref.Tag != "" {
		return registry.Ref{}, badTarget(text)
	}
	return ref, nil
}

// targetMember takes the version out of a JSON object with one member. It reads
// tokens, since decoding into a struct would let names in other letters and
// members that appear twice pass.
func targetMember(text string) (version string, ok bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var tokens [4]json.Token
	for i := range tokens {
		var err error
		if tokens[i], err = dec.Token(); err != nil {
			return "", false
		}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || tokens[3] != json.Delim('}') {
		return "", false
	}
	switch value := tokens[2].(type) {
	case json.Number:
		return value.String(), tokens[1] == "version"
	case string:
		return value, tokens[1] == "digest"
	}
	return "", false
}

func badTarget(text string) error {
	return problem.New(problem.BadRequest, quote(text)+` is not a version: send its number or its digest, as text or as {"version": 3} or {"digest": "sha256:…"}`)
}

// deleteTag removes a tag of something of a kind.
func (s *Server) deleteTag(x *exchange, kind registry.Kind) error {
	name, err := x.name()
	if err != nil {
		return err
	}
	change, err := x.change(kind)
	if err != nil {
		return err
	}
	if err := s.registry.RemoveTag(x.r.Context(), tenant, name, x.param("tag"), change); err != nil {
		return err
	}
	return x.writeNothing()
}

func (x *exchange) writeNothing() error {
	x.writeHeader(http.StatusNoContent)
	return nil
}

// writeJSON answers with a value that is small and can always be marshalled.
func (x *exchange) writeJSON(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.writeBody(status, append(body, '\n'))
}

// writeCharged is writeJSON for what may be large, to a request without a body.
func (x *exchange) writeCharged(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	// A client that reads slowly holds it in memory.
	if x.memory, err = x.server.memory.Reserve(x.r.Context(), int64(len(body))); err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, body)
}

// writeBody answers with JSON.
func (x *exchange) writeBody(status int, body []byte) error {
	x.w.Header()["Content-Type"] = valueJSON
	x.setHeader("Content-Length", slotLength, strconv.Itoa(len(body)))
	x.writeHeader(status)
	x.sink.begin(x, false)
	x.sink.write(body)
	return x.sink.err
}
