package httpio

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/data"
	"pappus/iofuncs"
)

// Names of sets.
const (
	requests = "requests"
	headers  = "headers"
	bodies   = "bodies"
)

// httpFunction is HTTP.
type httpFunction struct{ client *Client }

var _ iofuncs.Function = httpFunction{}

func (httpFunction) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "HTTP", Inputs: []iofuncs.Param{{Name: requests}}, Outputs: []iofuncs.Param{{Name: headers}, {Name: bodies}}}
}

func (f httpFunction) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	answers, err := f.client.call(ctx, r, parseRequest)
	if err != nil {
		return nil, err
	}
	n := len(answers)
	items := make([]*data.Item, 2*n)
	heads, contents := items[:n:n], items[n:]
	for i, in := range r.Inputs[0].Items {
		heads[i] = data.NewItem(in.Name(), in.Key(), answers[i].head)
		contents[i] = data.NewItem(in.Name(), in.Key(), answers[i].body)
	}
	return []data.Set{{Name: headers, Items: heads}, {Name: bodies, Items: contents}}, nil
}

// getFunction is system_HTTPGet.
type getFunction struct{ client *Client }

var _ iofuncs.Function = getFunction{}

func (getFunction) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "system_HTTPGet", Inputs: []iofuncs.Param{{Name: requests}}, Outputs: []iofuncs.Param{{Name: bodies}}}
}

func (f getFunction) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	answers, err := f.client.call(ctx, r, parseGet)
	if err != nil {
		return nil, err
	}
	contents := data.Set{Name: bodies}
	for i, in := range r.Inputs[0].Items {
		contents.Items = append(contents.Items, data.NewItem(in.Name(), in.Key(), answers[i].body))
	}
	return []data.Set{contents}, nil
}

// parseGet reads an item that is a URI, or a request for getting one.
func parseGet(content []byte) (*request, error) {
	if bytes.ContainsAny(content, "\n ") {
		if uri := bytes.TrimRight(content, "\r\n"); !bytes.ContainsAny(uri, "\n ") {
			return nil, errors.New("a line end follows the URI; an item that is just a URI has none")
		} else if bytes.HasPrefix(content, []byte(schemeHTTP)) {
			return nil, errors.New("there is a space or a line end in the URI; a space in one is written as %20")
		}
		r, err := parseRequest(content)
		if err == nil && r.method != http.MethodGet {
			err = fmt.Errorf("the method is %.40s; this function gets only, and HTTP does anything", r.method)
		}
		return r, err
	}
	u, err := parseURI(string(content[:min(len(content), maxHead)]))
	if err != nil {
		return nil, err
	}
	return &request{method: http.MethodGet, url: u, header: http.Header{}}, nil
}

// batch is the requests of one call.
type batch struct {
	client  *Client
	tenant  tenant
	call    iofuncs.Request
	parse   func([]byte) (*request, error)
	items   []*data.Item
	answers []*answer // of the items
}

// call makes a request of each item, some at once, if all of them can be read.
func (c *Client) call(ctx context.Context, r iofuncs.Request, parse func([]byte) (*request, error)) ([]*answer, error) {
	items := r.Inputs[0].Items
	b := &batch{client: c, tenant: c.tenant(r.Tenant), call: r, parse: parse, items: items, answers: make([]*answer, len(items))}
	if len(items) == 1 { // as with each: it needs nobody to work for it
		if err := b.one(ctx, 0); err != nil {
			return nil, err
		}
		return b.answers, ctx.Err()
	}
	for _, it := range items { // not all are to be held at once, so each is read again
		if _, err := parse(it.Bytes()); err != nil {
			return nil, failed(it, err, itemHint)
		}
	}
	if err := b.some(ctx, c.config.Limits.AtOnce); err != nil {
		return nil, err
	}
	return b.answers, ctx.Err()
}

// some makes the requests, some at once. The error is that of the first that failed: it
// ended the others.
func (b *batch) some(ctx context.Context, atOnce int) error {
	// A goroutine for many items: that of one would grow its stack for each anew.
	all, inner := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range min(atOnce, len(b.items)) {
		all.Go(func() error {
			for inner.Err() == nil {
				i := int(taken.Add(1) - 1)
				if i >= len(b.items) {
					break
				}
				if err := b.one(inner, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// one makes the request of an item.
func (b *batch) one(ctx context.Context, i int) error {
	it := b.items[i]
	request, err := b.parse(it.Bytes())
	if err != nil {
		return failed(it, err, itemHint)
	}
	if b.answers[i], err = b.seen(ctx, request); err == nil || ctx.Err() != nil {
		return err
	}
	if said := (*iofuncs.Error)(nil); !errors.As(err, &said) { // memory was refused, and its error knows nothing of this
		err = &iofuncs.Error{Kind: iofuncs.KindFailed, Detail: request.method + " " + origin(request.url), Err: err}
	}
	return failed(it, err, "")
}

// failed is the error of an item.
func failed(it *data.Item, err error, hint string) error {
	said := &iofuncs.Error{Kind: iofuncs.KindFailed, Err: err, Hint: hint}
	if already := (*iofuncs.Error)(nil); errors.As(err, &already) {
		*said = *already
	}
	said.Item = fmt.Sprintf("%s: %q, key %d", requests, it.Name(), it.Key())
	return said
}

// seen makes a request, and tells what came of it.
func (b *batch) seen(ctx context.Context, request *request) (*answer, error) {
	x := &exchange{batch: b, request: request, seen: iofuncs.Exchange{
		Method: request.method, Target: iofuncs.TargetOf(request.url), Sent: int64(len(request.body)), Began: time.Now(),
	}}
	e, config := &x.seen, &b.client.config
	if trace := b.call.Trace(); config.Propagate && trace != (iofuncs.TraceID{}) && request.header.Get("Traceparent") == "" {
		_, _ = rand.Read(e.Span[:]) // it never fails
		request.header.Set("Traceparent", iofuncs.Traceparent(trace, e.Span))
		request.header.Del("Tracestate") // of a parent that it does not name
	}
	a, err := x.do(ctx)
	e.Ended = time.Now()
	if said, is := errors.AsType[*iofuncs.Error](err); is {
		e.Failed = said.Kind
	} else if err != nil {
		e.Failed = iofuncs.KindCanceled
	}
	b.call.Note(*e)
	if config.Ended != nil {
		config.Ended(*e)
	}
	return a, err
}
