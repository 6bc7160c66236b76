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
	heads, contents := data.Set{Name: headers}, data.Set{Name: bodies}
	for i, in := range r.Inputs[0].Items {
		heads.Items = append(heads.Items, data.NewItem(in.Name(), in.Key(), answers[i].head))
		contents.Items = append(contents.Items, data.NewItem(in.Name(), in.Key(), answers[i].body))
	}
	return []data.Set{heads, contents}, nil
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

// call makes a request of each item, some at once, if all of them can be read.
func (c *Client) call(ctx context.Context, r iofuncs.Request, parse func([]byte) (*request, error)) ([]*answer, error) {
	items := r.Inputs[0].Items
	fail := func(it *data.Item, err error, hint string) error {
		said := &iofuncs.Error{Kind: iofuncs.KindFailed, Err: err, Hint: hint}
		if already := (*iofuncs.Error)(nil); errors.As(err, &already) {
			*said = *already
		}
		said.Item = fmt.Sprintf("%s: %q, key %d", requests, it.Name(), it.Key())
		return said
	}
	t := c.tenant(r.Tenant)
	answers := make([]*answer, len(items))
	one := func(inner context.Context, i int) error {
		it := items[i]
		request, err := parse(it.Bytes())
		if err != nil {
			return fail(it, err, itemHint)
		}
		if answers[i], err = c.seen(inner, t, request, r); err == nil || inner.Err() != nil {
			return err
		}
		if said := (*iofuncs.Error)(nil); !errors.As(err, &said) { // memory was refused, and its error knows nothing of this
			err = &iofuncs.Error{Kind: iofuncs.KindFailed, Detail: request.method + " " + origin(request.url), Err: err}
		}
		return fail(it, err, "")
	}
	if len(items) == 1 { // as with each: it needs nobody to work for it
		if err := one(ctx, 0); err != nil {
			return nil, err
		}
		return answers, ctx.Err()
	}
	for _, it := range items { // not all are to be held at once, so each is read again
		if _, err := parse(it.Bytes()); err != nil {
			return nil, fail(it, err, itemHint)
		}
	}
	// A goroutine for many items: that of one would grow its stack for each anew.
	all, inner := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range min(c.config.Limits.AtOnce, len(items)) {
		all.Go(func() error {
			for inner.Err() == nil {
				i := int(taken.Add(1) - 1)
				if i >= len(items) {
					break
				}
				if err := one(inner, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil { // the first that failed: it ended the others
		return nil, err
	}
	return answers, ctx.Err()
}

// seen makes a request, and tells what came of it.
func (c *Client) seen(ctx context.Context, t *tenant, request *request, r iofuncs.Request) (*answer, error) {
	e := iofuncs.Exchange{Method: request.method, Target: iofuncs.TargetOf(request.url), Sent: int64(len(request.body)), Began: time.Now()}
	if trace := r.Trace(); c.config.Propagate && trace != (iofuncs.TraceID{}) && request.header.Get("Traceparent") == "" {
		_, _ = rand.Read(e.Span[:]) // it never fails
		request.header.Set("Traceparent", iofuncs.Traceparent(trace, e.Span))
		request.header.Del("Tracestate") // of a parent that it does not name
	}
	a, err := c.exchange(ctx, t, request, r.Charge, &e)
	e.Ended = time.Now()
	if said := (*iofuncs.Error)(nil); errors.As(err, &said) {
		e.Failed = said.Kind
	} else if err != nil {
		e.Failed = iofuncs.KindCanceled
	}
	r.Note(e)
	if c.config.Ended != nil {
		c.config.Ended(e)
	}
	return a, err
}
