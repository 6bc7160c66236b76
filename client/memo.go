package client

import "context"

// Memo returns figures of what the server remembers of calls.
func (c *Client) Memo(ctx context.Context) (*Memo, error) {
	resp, err := c.api.GetMemo(ctx) //nolint:bodyclose // document does it
	return document[Memo](ctx, c, resp, err)
}

// PurgeMemo has the server forget the results of all versions of a function or
// composition, or, without a name, all results.
func (c *Client) PurgeMemo(ctx context.Context, name string) error {
	if name == "" {
		resp, err := c.api.PurgeMemo(ctx)
		return c.nothing(ctx, resp, err)
	}
	resp, err := c.api.PurgeMemoOf(ctx, name)
	return c.nothing(ctx, resp, err)
}
