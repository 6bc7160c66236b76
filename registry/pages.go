package registry

import (
	"bytes"
	"context"
	"strconv"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// mostLookedAt is how many names List looks at for a page: those whose versions
// were all deleted keep their records.
const mostLookedAt = 10 * MaxPage

// pageBytes is how many bytes of records a page has at most, if it has more than
// one entry: each is shown with all tags of its name.
const pageBytes = 4 << 20

// List returns what is of a kind ("": of either) in the order of the names, each
// by its latest version, or by its newest if the tag latest is gone. It starts
// after cursor, "" for the beginning, and returns at most limit (1 to MaxPage)
// and the cursor of the next page, "" if there is none. A page that is not the
// last may have fewer where they are large, and fewer or none where much lies
// between that is not listed.
func (r *Registry) List(ctx context.Context, tenant string, kind Kind, cursor string, limit int) (page []*Version, next string, err error) {
	limit = min(max(limit, 1), MaxPage)
	err = r.view(ctx, func(rec records) error {
		prefix := append([]byte(tenant), 0)
		c := rec.tx.Bucket(bucketFunctions).Cursor()
		k, b := c.Seek(functionKey(tenant, cursor))
		if cursor != "" && bytes.Equal(k, functionKey(tenant, cursor)) {
			k, b = c.Next()
		}
		name, size := "", 0 // the last that was looked at, and the page's bytes
		for looked := 0; k != nil && bytes.HasPrefix(k, prefix); k, b = c.Next() {
			if looked++; looked > mostLookedAt {
				next = name
				return nil
			}
			name = string(k[len(prefix):])
			f, err := rec.function(tenant, name)
			if err != nil {
				return err
			}
			if f.Kind == "" || kind != "" && f.Kind != kind {
				continue
			}
			if len(page) == limit {
				next = page[limit-1].Name
				return nil
			}
			v, err := rec.latest(tenant, name, f)
			if err != nil {
				return err
			}
			if size += len(b) + rec.size(v); size > pageBytes && len(page) > 0 {
				next = page[len(page)-1].Name
				return nil
			}
			page = append(page, v)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// Versions returns the versions of a name of a kind ("": of either), newest
// first, in pages as List does. Errors: *NotFoundError, *NameError for a cursor
// that is not one.
func (r *Registry) Versions(ctx context.Context, tenant string, kind Kind, name, cursor string, limit int) (page []*Version, next string, err error) {
	limit = min(max(limit, 1), MaxPage)
	var before int64
	if cursor != "" {
		if before, err = strconv.ParseInt(cursor, 10, 64); err != nil || before < 1 {
			return nil, "", &NameError{What: "cursor", Name: cursor, Reason: "is not one that a list returned"}
		}
	}
	err = r.view(ctx, func(rec records) error {
		if _, err := rec.named(tenant, name, kind); err != nil {
			return err
		}
		tags := len(rec.tx.Bucket(bucketFunctions).Get(functionKey(tenant, name)))
		for size := 0; ; {
			number, v, err := rec.below(tenant, name, before)
			if err != nil || v == nil {
				return err
			}
			size += tags + rec.size(v)
			if len(page) == limit || size > pageBytes && len(page) > 0 {
				next = strconv.FormatInt(before, 10)
				return nil
			}
			page = append(page, v)
			if before = number; before == 1 {
				return nil // nothing is below the first, and 0 means the end
			}
		}
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}
