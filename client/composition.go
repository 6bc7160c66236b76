package client

import (
	"context"
	"net/http"
	"strings"

	"pappus/client/api"
)

// Compositions are sent as text.
const typeSource = "text/plain; charset=utf-8"

// CompositionOptions are what a registration says beside the source.
type CompositionOptions struct {
	Tags  []string // moved to the version; none: latest is
	Force bool     // also where compositions that apply this one are left broken
}

// PutComposition registers a source, in either form of the language, under a
// name. If there is a version already that means the same, it is returned and
// created is false. A source that is not valid is a *Problem whose Errors have
// lines and columns.
func (c *Client) PutComposition(ctx context.Context, name, source string, opts CompositionOptions) (composition *Composition, created bool, err error) {
	params := &api.PutCompositionParams{Tag: opts.Tags, Force: given(opts.Force)}
	resp, err := c.api.PutCompositionWithBody(ctx, name, params, typeSource, strings.NewReader(source))
	if resp, err = c.finish(ctx, resp, err); err != nil { //nolint:bodyclose // decode does it
		return nil, false, err
	}
	if composition, err = decode[Composition](resp); err != nil {
		return nil, false, err
	}
	return composition, resp.StatusCode == http.StatusCreated, nil
}

// CheckComposition says what a source would be, and has the server store
// nothing. With an empty name the entry is the composition that no other one of
// the source applies. Errors are those of PutComposition.
func (c *Client) CheckComposition(ctx context.Context, name, source string) (*Checked, error) {
	resp, err := c.api.CheckCompositionWithBody(ctx, &api.CheckCompositionParams{Name: given(name)}, typeSource, strings.NewReader(source)) //nolint:bodyclose // document does it
	return document[Checked](ctx, c, resp, err)
}

// GetComposition describes a version: that of a reference "name", "name@tag",
// "name@3" or "name@sha256:…".
func (c *Client) GetComposition(ctx context.Context, ref string) (*Composition, error) {
	resp, err := c.api.GetComposition(ctx, ref, &api.GetCompositionParams{Accept: given(TypeJSON)}) //nolint:bodyclose // document does it
	return document[Composition](ctx, c, resp, err)
}

// ListCompositions returns a page of compositions in the order of their names,
// as ListFunctions does of functions.
func (c *Client) ListCompositions(ctx context.Context, cursor string, limit int) (CompositionPage, error) {
	resp, err := c.api.ListCompositions(ctx, &api.ListCompositionsParams{Cursor: given(cursor), Limit: given(limit)}) //nolint:bodyclose // document does it
	return compositions(ctx, c, resp, err)
}

// CompositionVersions returns a page of a composition's versions, the newest
// first.
func (c *Client) CompositionVersions(ctx context.Context, name, cursor string, limit int) (CompositionPage, error) {
	resp, err := c.api.ListCompositionVersions(ctx, name, &api.ListCompositionVersionsParams{Cursor: given(cursor), Limit: given(limit)}) //nolint:bodyclose // document does it
	return compositions(ctx, c, resp, err)
}

func compositions(ctx context.Context, c *Client, resp *http.Response, err error) (CompositionPage, error) {
	p, err := document[CompositionPage](ctx, c, resp, err)
	if err != nil {
		return CompositionPage{}, err
	}
	return *p, nil
}

// DeleteComposition removes a composition with all of its versions, or one
// version of a reference "name@3" or "name@sha256:…".
func (c *Client) DeleteComposition(ctx context.Context, ref string, opts ...ChangeOption) error {
	resp, err := c.api.DeleteComposition(ctx, ref, &api.DeleteCompositionParams{Force: forced(opts)})
	return c.nothing(ctx, resp, err)
}

// SetCompositionTag makes a tag name a version: target is a version's number or
// its digest.
func (c *Client) SetCompositionTag(ctx context.Context, name, tag, target string, opts ...ChangeOption) (*Composition, error) {
	params := &api.PutCompositionTagParams{Force: forced(opts)}
	resp, err := c.api.PutCompositionTagWithBody(ctx, name, tag, params, "text/plain", strings.NewReader(target)) //nolint:bodyclose // document does it
	return document[Composition](ctx, c, resp, err)
}

// RemoveCompositionTag removes a tag.
func (c *Client) RemoveCompositionTag(ctx context.Context, name, tag string, opts ...ChangeOption) error {
	resp, err := c.api.DeleteCompositionTag(ctx, name, tag, &api.DeleteCompositionTagParams{Force: forced(opts)})
	return c.nothing(ctx, resp, err)
}
