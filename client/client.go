package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pappus/client/api"
)

// ErrUnreachable is matched by the error of every call that got no answer, or not
// all of it, because no connection could be made or it broke.
var ErrUnreachable = errors.New("cannot reach the server")

// The most that is read of what a server says beside outputs and code, in bytes.
const (
	maxHeader   = 1 << 20
	maxDocument = 64 << 20
)

// Client calls one server. It may be used from many goroutines.
type Client struct {
	base string // scheme and authority, no slash at the end
	http *http.Client
	api  *api.Client
}

// New makes a client of the server at an address like "http://127.0.0.1:8080"
// or "127.0.0.1:8080". hc is what requests are sent with; nil means a client
// of its own without timeouts, since every call has a context.
func New(address string, hc *http.Client) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("address of the server: %q is not like http://127.0.0.1:8080", address)
	}
	if hc == nil {
		hc = &http.Client{Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableCompression:     true, // Content-Length and Content-Type are of what the function gave
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: maxHeader,
		}}
	}
	// A redirect would send what was asked for elsewhere, and some of them as
	// something else: it is an answer like another, and no success.
	direct := *hc
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc = &direct
	base := u.Scheme + "://" + u.Host
	requests, err := api.NewClient(base, api.WithHTTPClient(hc))
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	return &Client{base: base, http: hc, api: requests}, nil
}

// Address is the server's address, "http://HOST:PORT".
func (c *Client) Address() string { return c.base }

// Close closes connections that wait for a next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Body is what a request carries. The zero value is no body.
type Body struct {
	Reader io.Reader
	Type   string // media type; "" leaves the header out
	Size   int64  // in bytes; -1 if that is not known
}

// finish returns an answer if its status is 2xx. Any other is a *Problem, and
// the answer's body is closed.
func (c *Client) finish(ctx context.Context, resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

// edit makes a request say its body's type, if it has one, and length.
func (b Body) edit(_ context.Context, req *http.Request) error {
	if b.Type == "" {
		req.Header.Del("Content-Type")
	}
	if b.Reader != nil {
		setSize(req, b.Size)
	}
	return nil
}

// largeBody is the size in bytes from which on a request waits for the server
// to want its body: a refusal then arrives before it instead of breaking it off.
const largeBody = 1 << 20

// setSize makes the request say its length. A length of 0 must be said by
// having no body: net/http takes 0 as unknown.
func setSize(req *http.Request, size int64) {
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	if size < 0 || size >= largeBody {
		req.Header.Set("Expect", "100-continue")
	}
}

func (c *Client) transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", c.base, context.Cause(ctx))
	}
	// What net/http wraps errors in repeats method and address.
	var ue *url.Error
	if !errors.As(err, &ue) {
		return fmt.Errorf("make a request: %w", err)
	}
	err = ue.Err
	var read *readError
	if errors.As(err, &read) {
		return read.err
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base, err)
}

// readError is the failure of a reader that the caller gave as body, which is
// not the server's fault.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// source marks the errors of a caller's reader.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}

// decode reads the JSON document of an answer and closes it.
func decode[T any](resp *http.Response) (*T, error) {
	defer resp.Body.Close()
	if err := expectType(resp, TypeJSON); err != nil {
		return nil, err
	}
	into := new(T)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(into); err != nil {
		return nil, fmt.Errorf("%w: its answer can't be read to its end: %w", ErrUnreachable, err)
	}
	f, function := any(into).(*Function)
	c, composition := any(into).(*Composition)
	if function && f.Name == "" || composition && c.Name == "" {
		return nil, strange(resp, "a document without a name")
	}
	return into, nil
}

// expectType refuses an answer of another type than the server gives: it is
// somebody else's.
func expectType(resp *http.Response, mediaType string) error {
	if have, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || have != mediaType {
		return strange(resp, fmt.Sprintf("the type %.80q", resp.Header.Get("Content-Type")))
	}
	return nil
}

// strange is the problem of an answer that no server of this API gives.
func strange(resp *http.Response, has string) *Problem {
	return &Problem{Title: fmt.Sprintf("the server answered %s with %s, as no Pappus server does", resp.Status, has), Status: resp.StatusCode}
}

// document is finish for answers that are a JSON document.
func document[T any](ctx context.Context, c *Client, resp *http.Response, err error) (*T, error) {
	if resp, err = c.finish(ctx, resp, err); err != nil { //nolint:bodyclose // decode does it
		return nil, err
	}
	return decode[T](resp)
}

// nothing is finish for answers without content.
func (c *Client) nothing(ctx context.Context, resp *http.Response, err error) error {
	if resp, err = c.finish(ctx, resp, err); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		err = strange(resp, "content where there is none")
	}
	return errors.Join(err, resp.Body.Close())
}

// PutOptions are what a registration says beside the code. Zero values leave
// the choice to the code's manifest and the server's defaults. Sizes are like
// "64MiB", durations like "500ms".
type PutOptions struct {
	Inputs, Outputs []string // "NAME", or "NAME/item" for sets of exactly one item; if either is given, both together are the signature
	Memory          string
	Stack           string
	OutputLimit     string
	Fuel            string
	Timeout         string
	Memo            string   // "auto" or "off"
	Tags            []string // moved to the version; none: latest is
	Force           bool     // also where compositions that apply it are left broken
}

func (o PutOptions) params() *api.PutFunctionParams {
	return &api.PutFunctionParams{
		Input: o.Inputs, Output: o.Outputs, Tag: o.Tags,
		Memory: given(o.Memory), Stack: given(o.Stack), OutputLimit: given(o.OutputLimit),
		Fuel: given(o.Fuel), Timeout: given(o.Timeout), Memo: given(o.Memo), Force: given(o.Force),
	}
}

// given is what an option stands for in a query: nil if it is zero.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// PutFunction registers code under a name. If the same code is there with the
// same settings already, that version is returned and created is false.
func (c *Client) PutFunction(ctx context.Context, name string, code Body, opts PutOptions) (f *Function, created bool, err error) {
	code.Reader = source{code.Reader}
	resp, err := c.api.PutFunctionWithBody(ctx, name, opts.params(), code.Type, code.Reader, code.edit)
	if resp, err = c.finish(ctx, resp, err); err != nil { //nolint:bodyclose // decode does it
		return nil, false, err
	}
	if f, err = decode[Function](resp); err != nil {
		return nil, false, err
	}
	return f, resp.StatusCode == http.StatusCreated, nil
}

// GetFunction describes a version: that of a reference "name", "name@tag",
// "name@3" or "name@sha256:…".
func (c *Client) GetFunction(ctx context.Context, ref string) (*Function, error) {
	resp, err := c.api.GetFunction(ctx, ref) //nolint:bodyclose // document does it
	return document[Function](ctx, c, resp, err)
}

// ListFunctions returns a page of functions in the order of their names, each
// described by its latest version. The first page has an empty cursor; a limit
// of 0 leaves the page's size to the server.
func (c *Client) ListFunctions(ctx context.Context, cursor string, limit int) (Page, error) {
	resp, err := c.api.ListFunctions(ctx, &api.ListFunctionsParams{Cursor: given(cursor), Limit: given(limit)}) //nolint:bodyclose // page does it
	return c.page(ctx, resp, err)
}

// Versions returns a page of a function's versions, the newest first.
func (c *Client) Versions(ctx context.Context, name, cursor string, limit int) (Page, error) {
	resp, err := c.api.ListVersions(ctx, name, &api.ListVersionsParams{Cursor: given(cursor), Limit: given(limit)}) //nolint:bodyclose // page does it
	return c.page(ctx, resp, err)
}

func (c *Client) page(ctx context.Context, resp *http.Response, err error) (Page, error) {
	p, err := document[Page](ctx, c, resp, err)
	if err != nil {
		return Page{}, err
	}
	return *p, nil
}

// ChangeOption says how a change is meant.
type ChangeOption func(*change)

type change struct{ force bool }

// Force makes a change also where compositions are left with what they can't
// apply.
func Force() ChangeOption { return func(c *change) { c.force = true } }

// forced is what options come to in a query.
func forced(opts []ChangeOption) *bool {
	var c change
	for _, o := range opts {
		o(&c)
	}
	return given(c.force)
}

// DeleteFunction removes a function with all of its versions, or one version
// of a reference "name@3" or "name@sha256:…".
func (c *Client) DeleteFunction(ctx context.Context, ref string, opts ...ChangeOption) error {
	resp, err := c.api.DeleteFunction(ctx, ref, &api.DeleteFunctionParams{Force: forced(opts)})
	return c.nothing(ctx, resp, err)
}

// SetTag makes a tag name a version: target is a version's number or its digest.
func (c *Client) SetTag(ctx context.Context, name, tag, target string, opts ...ChangeOption) (*Function, error) {
	resp, err := c.api.PutTagWithBody(ctx, name, tag, &api.PutTagParams{Force: forced(opts)}, "text/plain", strings.NewReader(target)) //nolint:bodyclose // document does it
	return document[Function](ctx, c, resp, err)
}

// RemoveTag removes a tag.
func (c *Client) RemoveTag(ctx context.Context, name, tag string, opts ...ChangeOption) error {
	resp, err := c.api.DeleteTag(ctx, name, tag, &api.DeleteTagParams{Force: forced(opts)})
	return c.nothing(ctx, resp, err)
}

// Code streams the code of a version. The caller closes it.
func (c *Client) Code(ctx context.Context, ref string) (io.ReadCloser, error) {
	return c.CodeFor(ctx, ref, "")
}

// CodeFor is Code for the engine of that name; "" stands for the one that the
// function's document names.
func (c *Client) CodeFor(ctx context.Context, ref, engine string) (io.ReadCloser, error) {
	resp, err := c.api.GetCode(ctx, ref, &api.GetCodeParams{Engine: engine})
	if resp, err = c.finish(ctx, resp, err); err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Ready is nil when the server takes work.
func (c *Client) Ready(ctx context.Context) error {
	resp, err := c.api.Readiness(ctx)
	if resp, err = c.finish(ctx, resp, err); err != nil {
		return err
	}
	return errors.Join(expectType(resp, "text/plain"), resp.Body.Close())
}

// BytesBody is a body of known content.
func BytesBody(content []byte, mediaType string) Body {
	return Body{Reader: bytes.NewReader(content), Type: mediaType, Size: int64(len(content))}
}
