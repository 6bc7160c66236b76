package blobio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"pappus/data"
	"pappus/iofuncs"
)

// Names of sets.
const (
	refs     = "refs"
	contents = "contents"
	results  = "results"
	prefixes = "prefixes"
)

// itemHint is what to do about an item that can't be used.
const itemHint = "Correct the item; docs/io.md says how refs and prefixes are written."

// about makes an error one about an item, which is what is wrong unless the error says
// otherwise. That of a charge stays what it is.
func about(set string, it *data.Item, err error) error {
	said := &iofuncs.Error{Kind: iofuncs.KindFailed, Err: err, Hint: itemHint}
	if already := (*iofuncs.Error)(nil); errors.As(err, &already) {
		*said = *already
	}
	said.Item = fmt.Sprintf("%s: %q, key %d", set, it.Name(), it.Key())
	return said
}

// task is what one item asks for.
type task struct {
	item   *data.Item
	ref    *ref
	bucket *bucket
}

// read reads all items of a set, and finds their buckets.
func (c *Client) read(r iofuncs.Request, set data.Set, what use, needed Access) ([]task, error) {
	tasks := make([]task, len(set.Items))
	for i, it := range set.Items {
		ref, err := parseRef(it.Bytes(), what)
		if err != nil {
			return nil, about(set.Name, it, err)
		}
		b, err := c.find(r.Tenant, ref.bucket, needed)
		if err == nil {
			err = b.fits(ref.key)
		}
		if err != nil {
			return nil, about(set.Name, it, err)
		}
		tasks[i] = task{item: it, ref: ref, bucket: b}
	}
	return tasks, nil
}

// each does something with every task, some at once, until one fails. Errors are made
// ones about the item, unless the call itself ended or may not go on.
func (c *Client) each(ctx context.Context, set string, tasks []task, do func(ctx context.Context, i int) error) error {
	all, inner := errgroup.WithContext(ctx)
	all.SetLimit(c.config.Limits.AtOnce)
	for i := range tasks {
		if inner.Err() != nil {
			break
		}
		all.Go(func() error {
			err := do(inner, i)
			if said := (*iofuncs.Error)(nil); err == nil || inner.Err() != nil || !errors.As(err, &said) {
				return err
			}
			return about(set, tasks[i].item, err)
		})
	}
	if err := all.Wait(); err != nil { // the first that failed: it ended the others
		return err
	}
	return ctx.Err()
}

// getFunction is BlobGet.
type getFunction struct{ client *Client }

var _ iofuncs.Function = getFunction{}

func (getFunction) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "BlobGet", Inputs: []iofuncs.Param{{Name: refs}}, Outputs: []iofuncs.Param{{Name: contents}}}
}

func (f getFunction) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	tasks, err := f.client.read(r, r.Inputs[0], forGet, ReadOnly)
	if err != nil {
		return nil, err
	}
	got := make([]*data.Item, len(tasks))
	err = f.client.each(ctx, refs, tasks, func(ctx context.Context, i int) error {
		t := tasks[i]
		content, err := f.client.get(ctx, r, t)
		if errors.Is(err, errMissing) || errors.Is(err, errCondition) {
			switch t.ref.missing {
			case missingSkip:
				return nil
			case missingFault:
				return &iofuncs.Error{
					Kind:   iofuncs.KindFailed,
					Detail: fmt.Sprintf("the bucket %s: %s: %.200q; with the field Missing it is left out (skip), or empty (empty)", t.bucket.name, err, t.ref.key),
					Hint:   "Check the key, or say with the field Missing what becomes of such an item.",
				}
			}
			content, err = []byte{}, nil
		}
		if err == nil {
			got[i] = data.NewItem(t.item.Name(), t.item.Key(), content)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := data.Set{Name: contents}
	for _, it := range got {
		if it != nil {
			out.Items = append(out.Items, it)
		}
	}
	return []data.Set{out}, nil
}

// get gets what a ref asks for. A connection that breaks in the middle is not the end
// of it: requests are made again by what makes them, but only until they are answered.
func (c *Client) get(ctx context.Context, r iofuncs.Request, t task) (content []byte, err error) {
	err = c.operate(ctx, r, t.bucket, Get, t.ref.key, func(ctx context.Context, w *watch) (int64, error) {
		for attempt := 1; ; attempt++ {
			content, err = c.attempt(ctx, t, charger(r), w)
			if err == nil || attempt >= c.config.Limits.Attempts || !broken(err) {
				return int64(len(content)), err
			}
		}
	})
	return content, err
}

// broken reports whether an error is that of a connection that went away while a blob
// arrived.
func broken(err error) bool {
	for _, e := range []error{io.ErrUnexpectedEOF, syscall.ECONNRESET, net.ErrClosed, errShort} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *Client) attempt(ctx context.Context, t task, charge func(int64) error, w *watch) ([]byte, error) {
	w.still()
	o, err := t.bucket.store.open(ctx, t.bucket.whole(t.ref.key), t.ref)
	if err != nil {
		return nil, err
	}
	defer o.close()
	if o.length > c.config.Limits.Size {
		return nil, hinted("Ask for a part, or have the operator raise --blob-limits size.", "it has %d bytes; the most is %d (blob-limits size); the field Range asks for a part", o.length, c.config.Limits.Size)
	}
	w.moved()
	return collect(ctx, o.reader, o.length, o.believed, charge, w)
}

// putFunction is BlobPut.
type putFunction struct{ client *Client }

var _ iofuncs.Function = putFunction{}

func (putFunction) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "BlobPut", Inputs: []iofuncs.Param{{Name: refs}, {Name: contents}}, Outputs: []iofuncs.Param{{Name: results}}}
}

func (f putFunction) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	named, err := f.client.read(r, r.Inputs[0], forPut, ReadWrite)
	if err != nil {
		return nil, err
	}
	tasks, err := f.client.match(named, r.Inputs[1].Items)
	if err != nil {
		return nil, err
	}
	said := make([][]byte, len(tasks))
	err = f.client.each(ctx, contents, tasks, func(ctx context.Context, i int) (err error) {
		said[i], err = f.client.put(ctx, r, tasks[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	out := data.Set{Name: results}
	for i, t := range tasks {
		out.Items = append(out.Items, data.NewItem(t.item.Name(), t.item.Key(), said[i]))
	}
	return []data.Set{out}, nil
}

// match finds for each content where it goes, before anything is put: by the only ref
// that there is, or by the one with the same name and key.
func (c *Client) match(named []task, items []*data.Item) ([]task, error) {
	type identity struct {
		name string
		key  uint32
	}
	by := make(map[identity]*task, len(named))
	taken := make(map[*task]bool, len(named))
	for i := range named {
		t := &named[i]
		id := identity{t.item.Name(), t.item.Key()}
		if by[id] != nil {
			return nil, about(refs, t.item, errors.New("there are two refs with this name and key"))
		}
		by[id] = t
	}
	tasks := make([]task, len(items))
	places := make(map[[2]string]bool, len(items))
	for i, it := range items {
		var t *task
		if len(named) == 1 {
			t = &named[0]
		} else if t = by[identity{it.Name(), it.Key()}]; t == nil {
			return nil, about(contents, it, fmt.Errorf("none of the %d refs has its name and key; one ref alone is for all contents", len(named)))
		}
		folder := t.ref.key == "" || strings.HasSuffix(t.ref.key, "/")
		if taken[t] && !folder {
			return nil, about(contents, it, fmt.Errorf("%.200q is for one content; a ref that ends with a slash is for many", t.ref.bucket+"/"+t.ref.key))
		}
		taken[t] = true
		to := *t.ref
		if folder {
			to.key += it.Name()
			err := checkKey(to.key)
			if err == nil {
				err = t.bucket.fits(to.key)
			}
			if err != nil {
				return nil, about(contents, it, fmt.Errorf("its name is to be the end of a key: %w", err))
			}
		}
		place := [2]string{to.bucket, to.key}
		if places[place] {
			return nil, about(contents, it, fmt.Errorf("another content is put as %.200q too", to.bucket+"/"+to.key))
		}
		places[place] = true
		if int64(it.Len()) > c.config.Limits.Size {
			return nil, about(contents, it, fmt.Errorf("it has %d bytes; the most is %d (blob-limits size)", it.Len(), c.config.Limits.Size))
		}
		tasks[i] = task{item: it, ref: &to, bucket: t.bucket}
	}
	for i := range named {
		t := &named[i]
		if !taken[t] && t.ref.key != "" && !strings.HasSuffix(t.ref.key, "/") {
			return nil, about(refs, t.item, errors.New("no content has its name and key"))
		}
	}
	return tasks, nil
}

// put puts a content, and says what came of it: an item of results.
func (c *Client) put(ctx context.Context, r iofuncs.Request, t task) ([]byte, error) {
	content := newFence(t.item.Bytes())
	defer content.fall()
	etag := ""
	err := c.operate(ctx, r, t.bucket, Put, t.ref.key, func(ctx context.Context, w *watch) (n int64, err error) {
		if etag, err = t.bucket.store.put(ctx, t.bucket.whole(t.ref.key), t.ref, content, w); err == nil {
			n = content.size
		}
		return n, err
	})
	if errors.Is(err, errCondition) {
		return []byte(t.ref.bucket + "/" + t.ref.key + "\nOutcome:condition\n"), nil
	}
	if err != nil {
		return nil, err
	}
	return append(describe(t.ref.bucket, t.ref.key, etag, content.size), "Outcome:stored\n"...), nil
}

// describe is a ref that says what a blob is.
func describe(bucket, key, etag string, size int64) []byte {
	text := bucket + "/" + key + "\n"
	if etag != "" {
		text += "ETag:" + etag + "\n"
	}
	return []byte(text + "Size:" + strconv.FormatInt(size, 10) + "\n")
}

// listFunction is BlobList.
type listFunction struct{ client *Client }

var _ iofuncs.Function = listFunction{}

func (listFunction) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "BlobList", Inputs: []iofuncs.Param{{Name: prefixes}}, Outputs: []iofuncs.Param{{Name: refs}}}
}

func (f listFunction) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	tasks, err := f.client.read(r, r.Inputs[0], forList, ReadOnly)
	if err != nil {
		return nil, err
	}
	found := make([][]*data.Item, len(tasks))
	err = f.client.each(ctx, prefixes, tasks, func(ctx context.Context, i int) (err error) {
		found[i], err = f.client.list(ctx, r, tasks[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	out := data.Set{Name: refs}
	for _, items := range found {
		out.Items = append(out.Items, items...)
	}
	return []data.Set{out}, nil
}

// list makes refs of the blobs that an item asks for.
func (c *Client) list(ctx context.Context, r iofuncs.Request, t task) (items []*data.Item, err error) {
	most := c.config.Limits.List
	if t.ref.limit > most {
		return nil, &iofuncs.Error{Kind: iofuncs.KindFailed, Hint: itemHint, Detail: fmt.Sprintf("the field Limit is %d; the most is %d (blob-limits list)", t.ref.limit, most)}
	}
	charge := charger(r)
	err = c.operate(ctx, r, t.bucket, List, t.ref.key, func(ctx context.Context, _ *watch) (_ int64, err error) {
		ask := most
		if t.ref.limit > 0 {
			ask = t.ref.limit
		} else if ask < math.MaxInt {
			ask++ // to know whether there are more
		}
		before := t.bucket.place.prefix
		after := t.ref.after
		if after != "" {
			after = t.bucket.whole(after)
		}
		hold := &hold{charge: charge}
		defer func() { err = errors.Join(err, hold.giveAll()) }()
		found, err := t.bucket.store.list(ctx, t.bucket.whole(t.ref.key), t.ref.delimiter, after, ask, hold)
		if err != nil {
			return 0, err
		}
		if len(found) > most {
			return 0, hinted("Ask for fewer, or have the operator raise --blob-limits list.", "more than %d blobs begin with %.200q (blob-limits list); a longer prefix, or the field Limit, asks for fewer", most, t.ref.key)
		}
		size := int64(0)
		for _, e := range found {
			size += int64(len(e.key) - len(before) + len(describe(t.ref.bucket, e.key[len(before):], e.etag, e.size)))
		}
		if err := charge(size); err != nil {
			return 0, err
		}
		for _, e := range found {
			name := e.key[len(before):]
			items = append(items, data.NewItem(name, t.item.Key(), describe(t.ref.bucket, name, e.etag, e.size)))
		}
		return 0, nil
	})
	return items, err
}
