package client

import (
	"context"

	"pappus/client/api"
)

// Run is the record of a run that was traced (Invocation.Trace). The server keeps
// those of recent runs only; others are a *Problem with the code "unknown-run".
func (c *Client) Run(ctx context.Context, id string) (*Run, error) {
	resp, err := c.api.GetRun(ctx, id) //nolint:bodyclose // document does it
	return document[Run](ctx, c, resp, err)
}

// Runs returns a page of the runs whose records the server keeps, the newest
// first. The first page has an empty cursor; a limit of 0 leaves the page's size
// to the server.
func (c *Client) Runs(ctx context.Context, cursor string, limit int) (RunPage, error) {
	resp, err := c.api.ListRuns(ctx, &api.ListRunsParams{Cursor: given(cursor), Limit: given(limit)}) //nolint:bodyclose // document does it
	p, err := document[RunPage](ctx, c, resp, err)
	if err != nil {
		return RunPage{}, err
	}
	return *p, nil
}
