package blobio

import (
	"context"
	"strings"
)

// Keys are what an item names as a ref of each use: keys, and what keys begin with.
func Keys(content []byte) (keys, beginnings []string) {
	for _, what := range []use{forGet, forPut, forList} {
		r, err := parseRef(content, what)
		switch {
		case err != nil:
			continue
		case what == forList, r.key == "", strings.HasSuffix(r.key, "/"):
			beginnings = append(beginnings, r.key)
		default:
			keys = append(keys, r.key)
		}
		if r.after != "" {
			keys = append(keys, r.after)
		}
	}
	return keys, beginnings
}

// PutStraight puts a blob into a bucket under a context that may have ended already.
func (c *Client) PutStraight(ctx context.Context, bucket, key string, content []byte) error {
	w := newWatch(c.config.Limits, func() {})
	defer w.stop()
	_, err := c.buckets[bucket].store.put(ctx, key, &ref{}, newFence(content), w)
	return err
}
