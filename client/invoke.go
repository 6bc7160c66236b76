package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pappus/client/api"
	"pappus/internal/multiparts"
)

// Media types of answers.
const (
	TypeJSON      = "application/json"
	TypeMultipart = "multipart/mixed"
)

// keyHeader is the header of a part that holds the item's key, and runHeader that
// of an answer that names a run.
const (
	keyHeader = "Pappus-Key"
	runHeader = "Pappus-Run"
)

// What an invocation may say of remembered answers.
const (
	NoCache      = "no-cache"       // compute it, and remember that
	NoStore      = "no-store"       // compute it, and remember nothing
	OnlyIfCached = "only-if-cached" // don't compute it; it may be a *Problem with the code "not-cached"
)

// Invocation is one call of a function.
type Invocation struct {
	Body   Body
	Accept string // TypeJSON or TypeMultipart; "" for the shortest form there is, the raw bytes of a single item
	Query  url.Values
	Cache  string // of the header Cache-Control: NoCache, NoStore or OnlyIfCached; "" leaves it to the server whether the answer is a remembered one
	Trace  bool   // have a record of a composition's run kept, which the answer or the *Problem names
}

// Answer is what an invocation gave. The caller closes it.
type Answer struct {
	Type   string                   // media type of Body; "" if the function gave no item
	Fuel   int64                    // that it used; 0 if the server does not say
	Timing map[string]time.Duration // the phases of Server-Timing: "queue", "prepare", "run"
	Cache  string                   // the header Cache-Status: where the answer comes from; "" if the server remembers nothing
	RunID  string                   // for Run; "" if no record is kept: functions have none
	Header http.Header
	Body   io.ReadCloser

	params map[string]string // of the media type
}

// Close ends the answer, also one that was not read to its end.
func (a *Answer) Close() error { return a.Body.Close() }

// Invoke calls a function: "name", "name@tag", "name@3" or "name@sha256:…".
// The answer is streamed; cancelling ctx ends it.
func (c *Client) Invoke(ctx context.Context, ref string, inv Invocation) (*Answer, error) {
	if inv.Body.Reader != nil {
		inv.Body.Reader = source{inv.Body.Reader}
	}
	query := func(_ context.Context, req *http.Request) error {
		parts := []string{inv.Query.Encode(), req.URL.RawQuery}
		req.URL.RawQuery = strings.Trim(strings.Join(parts, "&"), "&")
		return nil
	}
	params := &api.InvokeParams{Accept: given(inv.Accept), CacheControl: given(inv.Cache)}
	if inv.Trace {
		params.Trace = given("1")
	}
	resp, err := c.api.InvokeWithBody(ctx, ref, params, inv.Body.Type, inv.Body.Reader, inv.Body.edit, query)
	if resp, err = c.finish(ctx, resp, err); err != nil {
		return nil, err
	}
	if inv.Accept != "" && resp.StatusCode != http.StatusNoContent {
		err = expectType(resp, inv.Accept)
	}
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	body := answerBody{resp.Body, func(err error) error { return c.answerError(ctx, err) }}
	a := &Answer{RunID: resp.Header.Get(runHeader), Cache: resp.Header.Get("Cache-Status"), Header: resp.Header, Body: body, Timing: parseTiming(resp.Header.Get("Server-Timing"))}
	if n, err := strconv.ParseInt(resp.Header.Get("Pappus-Fuel"), 10, 64); err == nil {
		a.Fuel = n
	}
	if resp.StatusCode == http.StatusNoContent {
		return a, nil
	}
	a.Type, a.params, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the answer's media type %q: %w", resp.Header.Get("Content-Type"), err), a.Close())
	}
	return a, nil
}

// answerBody is a body whose errors say what they mean to the caller.
type answerBody struct {
	io.ReadCloser
	failed func(error) error
}

func (b answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // one that is wrapped is a failure
		err = b.failed(err)
	}
	return n, err
}

// answerError is what it means that an answer can't be read to its end.
func (c *Client) answerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", c.base, context.Cause(ctx))
	}
	return fmt.Errorf("%w at %s: its answer can't be read to its end: %w", ErrUnreachable, c.base, err)
}

// parseTiming reads "queue;dur=0.01, run;dur=1.5" (milliseconds) and skips
// what it can't.
func parseTiming(header string) map[string]time.Duration {
	timing := map[string]time.Duration{}
	for metric := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(metric), ";")
		for p := range strings.SplitSeq(params, ";") {
			text, ok := strings.CutPrefix(strings.TrimSpace(p), "dur=")
			if !ok {
				continue
			}
			if ms, err := strconv.ParseFloat(text, 64); err == nil && ms >= 0 && ms < 1e12 {
				timing[name] = time.Duration(math.Round(ms * 1e6))
			}
		}
	}
	return timing
}

// Output is one item of an answer.
type Output struct {
	Set  string
	Name string
	Key  uint32
	Body io.Reader // until the next item is asked for
}

// Items reads the items of a JSON or multipart answer one after the other. It
// can be called once. Names come from the function: they may hold anything
// that the API allows in names, and more if the server is not honest.
func (a *Answer) Items() iter.Seq2[Output, error] {
	return func(yield func(Output, error) bool) {
		var err error
		switch a.Type {
		case "":
		case TypeJSON:
			err = readJSON(a.Body, func(o Output) bool { return yield(o, nil) })
		case TypeMultipart:
			err = readMultipart(a.Body, a.params["boundary"], func(o Output) bool { return yield(o, nil) })
		default:
			err = fmt.Errorf("an answer of type %q is not a list of items", a.Type)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Output{}, fmt.Errorf("read the answer: %w", notWhole(err)))
		}
	}
}

// notWhole has the error of an answer whose connection ended before its items do
// say so.
func notWhole(err error) error {
	if (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && !errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("%w: its answer ends too early: %w", ErrUnreachable, err)
	}
	return err
}

// partBody is the content of a part.
type partBody struct{ part *multipart.Part }

func (b partBody) Read(p []byte) (int, error) {
	n, err := b.part.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // one that is wrapped is a failure
		err = notWhole(err)
	}
	return n, err
}

// errStopped says that the reader of an answer wants no more.
var errStopped = errors.New("stopped")

func readMultipart(r io.Reader, boundary string, yield func(Output) bool) error {
	if boundary == "" {
		return errors.New("the multipart answer names no boundary")
	}
	parts := multiparts.NewReader(r, boundary)
	for {
		part, err := parts.Next()
		if err == io.EOF { //nolint:errorlint // whatever else ends with it is not whole
			return nil
		}
		if err != nil {
			return err
		}
		// Part.FileName would drop folders of the name.
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return fmt.Errorf("a part's Content-Disposition: %w", err)
		}
		o := Output{Set: params["name"], Name: params["filename"], Body: partBody{part}}
		if text := part.Header.Get(keyHeader); text != "" {
			key, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return fmt.Errorf("a part's %s: %w", keyHeader, err)
			}
			o.Key = uint32(key)
		}
		if !yield(o) {
			return errStopped
		}
	}
}

// readJSON walks {"outputs": {SET: [ITEM…]…}…} in its order, holding one item
// at a time.
func readJSON(r io.Reader, yield func(Output) bool) error {
	dec := json.NewDecoder(r)
	return eachMember(dec, func(member string) error {
		if member != "outputs" {
			var skipped json.RawMessage
			return dec.Decode(&skipped)
		}
		return eachMember(dec, func(set string) error {
			if err := expect(dec, '['); err != nil {
				return err
			}
			for dec.More() {
				var item struct {
					Name string `json:"name"`
					Key  uint32 `json:"key"`
					Data []byte `json:"data"`
				}
				if err := dec.Decode(&item); err != nil {
					return err
				}
				if !yield(Output{Set: set, Name: item.Name, Key: item.Key, Body: strings.NewReader(string(item.Data))}) {
					return errStopped
				}
			}
			return expect(dec, ']')
		})
	})
}

// eachMember calls f at the value of every member of the object that comes
// next. f must read the value.
func eachMember(dec *json.Decoder, f func(name string) error) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return fmt.Errorf("a member's name is %v", token)
		}
		if err := f(name); err != nil {
			return err
		}
	}
	return expect(dec, '}')
}

func expect(dec *json.Decoder, delim json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != delim {
		return fmt.Errorf("the JSON has %v instead of %v", token, delim)
	}
	return nil
}
