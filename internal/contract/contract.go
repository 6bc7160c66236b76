package contract

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// rawBody marks query parameters that make a body bytes, whatever its type.
const rawBody = "x-raw-body"

// MaxBody is the size up to which bodies are looked into, in bytes. Of larger
// ones only the headers are checked.
const MaxBody = 4 << 20

// Contract is an API description to which traffic is held. It may be used from
// many goroutines.
type Contract struct {
	doc    *openapi3.T
	routes []route

	mu   sync.Mutex
	seen map[Pair]int
}

// Pair is an operation and a status that it may have.
type Pair struct {
	Operation string // its id
	Status    int
}

func (p Pair) String() string { return p.Operation + " " + strconv.Itoa(p.Status) }

// Operation is one of the description.
type Operation struct {
	ID, Method, Path string
	Statuses         []int // but for the default
}

type route struct {
	path     string
	segments []string
	item     *openapi3.PathItem
}

// Body is what was seen of a body.
type Body struct {
	Bytes []byte
	Whole bool // there is no more of it
}

// Exchange is one request and its answer.
type Exchange struct {
	Request *http.Request // its Body is not read
	Sent    Body
	Status  int
	Header  http.Header // of the answer
	Answer  Body
}

// Load reads a description and refuses one that is not valid, its examples
// included.
func Load(document []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	c := &Contract{doc: doc, seen: make(map[Pair]int)}
	for path, item := range doc.Paths.Map() {
		c.routes = append(c.routes, route{path, strings.Split(path, "/"), item})
	}
	// A segment that is named comes before one that is a parameter.
	slices.SortFunc(c.routes, func(a, b route) int { return strings.Compare(a.path, b.path) })
	closed := make(map[*openapi3.Schema]bool)
	for _, s := range doc.Components.Schemas {
		closeObjects(s, closed)
	}
	return c, nil
}

// closeObjects has objects whose members are listed take no others: the
// description leaves that open for clients, so that they take later members.
func closeObjects(ref *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || done[ref.Value] {
		return
	}
	s := ref.Value
	done[s] = true
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
	}
	closeObjects(s.Items, done)
	closeObjects(s.AdditionalProperties.Schema, done)
	for _, p := range s.Properties {
		closeObjects(p, done)
	}
	for _, p := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		closeObjects(p, done)
	}
}

// Operations lists the operations, by path and method.
func (c *Contract) Operations() []Operation {
	var list []Operation
	for _, r := range c.routes {
		operations := r.item.Operations()
		for method, o := range operations {
			op := Operation{ID: o.OperationID, Method: method, Path: r.path}
			for status := range o.Responses.Map() {
				if n, err := strconv.Atoi(status); err == nil {
					op.Statuses = append(op.Statuses, n)
				}
			}
			slices.Sort(op.Statuses)
			list = append(list, op)
		}
	}
	slices.SortFunc(list, func(a, b Operation) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return list
}

// Unseen lists the pairs of the description that no exchange had.
func (c *Contract) Unseen() []Pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Pair
	for _, o := range c.Operations() {
		for _, status := range o.Statuses {
			if p := (Pair{o.ID, status}); c.seen[p] == 0 {
				list = append(list, p)
			}
		}
	}
	return list
}

// Check says what of an exchange is not as the description has it: the answer
// always, the request if it was accepted (2xx).
func (c *Contract) Check(x Exchange) error {
	r, params := c.find(x.Request.Method, x.Request.URL)
	var op *openapi3.Operation
	if r != nil {
		op = r.item.GetOperation(x.Request.Method)
	}
	var err error
	if op == nil {
		err = c.checkOutside(x, r != nil)
	} else {
		err = c.checkOperation(x, &routers.Route{Spec: c.doc, Path: r.path, PathItem: r.item, Method: x.Request.Method, Operation: op}, params)
	}
	if err != nil {
		return fmt.Errorf("contract: %s %s, answered %d: %w", x.Request.Method, x.Request.URL, x.Status, err)
	}
	return nil
}

// find finds the path of the description that a URL has, and the values of its
// parameters. Of several that match it is the first that has the method: what one
// calls a thing may be the name of a path of its own.
func (c *Contract) find(method string, u *url.URL) (found *route, params map[string]string) {
	segments := strings.Split(u.EscapedPath(), "/")
	for i := range c.routes {
		r := &c.routes[i]
		values, ok := match(r.segments, segments)
		if !ok {
			continue
		}
		if r.item.GetOperation(method) != nil {
			return r, values
		}
		if found == nil {
			found, params = r, values
		}
	}
	return found, params
}

func match(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	params := make(map[string]string)
	for i, t := range template {
		name, isParam := strings.CutPrefix(t, "{")
		if !isParam {
			if t != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true
}

// checkOutside checks the answer to a request that the description does not
// have.
func (c *Contract) checkOutside(x Exchange, knownPath bool) error {
	if x.Request.Method == http.MethodOptions && x.Status == http.StatusNoContent &&
		(x.Header.Get("Allow") != "" || x.Header.Get("Access-Control-Allow-Methods") != "") {
		return nil
	}
	switch x.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
	case http.StatusMethodNotAllowed:
		if x.Header.Get("Allow") == "" {
			return fmt.Errorf("it does not say what is allowed")
		}
	default:
		return fmt.Errorf("the description has no such %s, and it is not refused", map[bool]string{true: "method", false: "path"}[knownPath])
	}
	return c.checkProblem(x)
}

// problemType is the media type of problem documents, and problemSchema their
// schema in a description.
const (
	problemType   = "application/problem+json"
	problemSchema = "Problem"
)

// checkProblem checks an answer that must be a problem document.
func (c *Contract) checkProblem(x Exchange) error {
	if x.Header.Get("Content-Type") != problemType {
		return fmt.Errorf("its type is %q", x.Header.Get("Content-Type"))
	}
	schema := c.doc.Components.Schemas[problemSchema]
	if schema == nil {
		return fmt.Errorf("the description has no schema %s", problemSchema)
	}
	if x.Request.Method == http.MethodHead {
		return nil
	}
	return checkBody(x.Answer, problemType, schema)
}

// always are headers that any answer may have.
var always = []string{
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control", "Connection", "Content-Length",
	"Content-Security-Policy", "Content-Type", "Date", "Transfer-Encoding", "Vary", "X-Content-Type-Options",
}

// checkOperation checks an exchange of an operation of the description.
func (c *Contract) checkOperation(x Exchange, r *routers.Route, params map[string]string) error {
	response := r.Operation.Responses.Status(x.Status)
	if response != nil {
		c.mu.Lock()
		c.seen[Pair{r.Operation.OperationID, x.Status}]++
		c.mu.Unlock()
	} else if x.Status == http.StatusInternalServerError || x.Status == http.StatusMethodNotAllowed {
		// Any other status is to be said of the operation that has it.
		response = r.Operation.Responses.Default()
	}
	if response == nil {
		return fmt.Errorf("%s has no such status", r.Operation.OperationID)
	}
	request := x.Request.Clone(context.Background())
	request.Body = http.NoBody
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Route: r,
		Options: &openapi3filter.Options{ExcludeRequestBody: true, SkipSettingDefaults: true},
	}
	if err := checkAnswer(x, response.Value, input); err != nil {
		return err
	}
	// OPTIONS asks about a request, which need not be one that would be accepted.
	if x.Status < 200 || x.Status > 299 || x.Request.Method == http.MethodOptions {
		return nil
	}
	if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
		return fmt.Errorf("the request was accepted: %w", err)
	}
	if err := checkRequest(x, r); err != nil {
		return fmt.Errorf("the request was accepted: %w", err)
	}
	return nil
}

// checkAnswer checks an answer's header and body.
func checkAnswer(x Exchange, response *openapi3.Response, input *openapi3filter.RequestValidationInput) error {
	for name := range x.Header {
		described := func(known string) bool { return http.CanonicalHeaderKey(known) == name }
		if slices.Contains(always, name) {
			continue
		}
		names := make([]string, 0, len(response.Headers))
		for known := range response.Headers {
			names = append(names, known)
		}
		if !slices.ContainsFunc(names, described) {
			return fmt.Errorf("the description has no header %s of this answer", name)
		}
	}
	// Answers to HEAD have the headers of those to GET; kin-openapi looks at none of them.
	whole := *input
	whole.Request = input.Request.Clone(context.Background())
	whole.Request.Method = http.MethodGet
	if err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &whole, Status: x.Status, Header: x.Header,
		Options: &openapi3filter.Options{ExcludeResponseBody: true, IncludeResponseStatus: true},
	}); err != nil {
		return err
	}
	if len(response.Content) == 0 {
		if len(x.Answer.Bytes) > 0 {
			return fmt.Errorf("there are %d bytes of content, where the description has none", len(x.Answer.Bytes))
		}
		return nil
	}
	contentType := x.Header.Get("Content-Type")
	if contentType == "" {
		return fmt.Errorf("the answer's content has no type")
	}
	media := response.Content.Get(contentType)
	if media == nil {
		return fmt.Errorf("the answer's type %q is not described", contentType)
	}
	if x.Request.Method == http.MethodHead {
		if len(x.Answer.Bytes) > 0 {
			return fmt.Errorf("an answer to HEAD has content")
		}
		return nil
	}
	if x.Header.Get("Content-Encoding") != "" {
		return nil
	}
	return checkBody(x.Answer, contentType, media.Schema)
}

// checkRequest checks what kin-openapi leaves open of a request: parameters
// that nobody described, and the body.
func checkRequest(x Exchange, r *routers.Route) error {
	raw := false
	for name := range x.Request.URL.Query() {
		p := r.Operation.Parameters.GetByInAndName("query", name)
		if p == nil {
			p = r.PathItem.Parameters.GetByInAndName("query", name)
		}
		if p == nil && !free(r) {
			return fmt.Errorf("the description has no parameter %q of the query", name)
		}
		if p == nil {
			continue
		}
		if yes, ok := p.Extensions[rawBody].(bool); ok && yes {
			raw = true
		}
	}
	if r.Operation.RequestBody == nil {
		// That of GET, HEAD and DELETE means nothing (RFC 9110), and is ignored.
		means := !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete}, x.Request.Method)
		if means && len(x.Sent.Bytes) > 0 {
			return fmt.Errorf("it has a body, and the description has none")
		}
		return nil
	}
	body := r.Operation.RequestBody.Value
	if len(x.Sent.Bytes) == 0 {
		if body.Required && x.Sent.Whole {
			return fmt.Errorf("it has no body, and the description wants one")
		}
		return nil
	}
	if raw {
		return nil
	}
	contentType := x.Request.Header.Get("Content-Type")
	media := body.Content.Get(orBytes(contentType))
	if media == nil {
		media = body.Content["*/*"] // of a type that is none
	}
	if media == nil {
		return fmt.Errorf("its type %q is not described", contentType)
	}
	return checkBody(x.Sent, contentType, media.Schema)
}

// free reports whether an operation's query has members of an object whose names
// the description leaves open.
func free(r *routers.Route) bool {
	return slices.ContainsFunc(r.Operation.Parameters, func(p *openapi3.ParameterRef) bool {
		s := p.Value.Schema
		return p.Value.In == "query" && s != nil && s.Value.Type.Is("object") && s.Value.AdditionalProperties.Schema != nil
	})
}
