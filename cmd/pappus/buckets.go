package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/cmd/pappus/internal/settings"
	"pappus/iofuncs/blobio"
	"pappus/registry"
)

// buckets are where I/O functions keep blobs.
type buckets struct {
	places map[string]blobio.Place
	grants []string // TENANT:BUCKET:ACCESS
	limits blobio.Limits
}

const bucketsHint = "name folders that this user can write, variables that are set, and regions, with --buckets; see docs/io.md"

// grant is what a tenant may do with a bucket.
type grant struct {
	tenant, bucket string
	access         blobio.Access
}

func parseGrant(text string) (grant, error) {
	parts := strings.Split(text, ":")
	access := blobio.None
	if len(parts) == 3 {
		access = map[string]blobio.Access{"ro": blobio.ReadOnly, "rw": blobio.ReadWrite}[parts[2]]
	}
	if access == blobio.None || parts[0] == "" || !blobio.LegalBucket(parts[1]) {
		return grant{}, fmt.Errorf("%.80q is not TENANT:BUCKET:ro or TENANT:BUCKET:rw", text)
	}
	return grant{parts[0], parts[1], access}, nil
}

func checkGrant(text string) error {
	_, err := parseGrant(text)
	return err
}

// name gives a bucket its place. Errors have nothing of the URL.
func (b *buckets) name(name, url string) error {
	if !blobio.LegalBucket(name) {
		return errors.New("a bucket's name is 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit")
	}
	place, err := blobio.ParsePlace(url)
	if err != nil {
		return err
	}
	b.places[name] = place
	return nil
}

// strayGrant is a grant for a bucket that nothing names; "": there is none.
func (b *buckets) strayGrant() string {
	for _, text := range b.grants {
		if g, err := parseGrant(text); err == nil {
			if _, ok := b.places[g.bucket]; !ok {
				return g.bucket
			}
		}
	}
	return ""
}

// inData is a bucket whose folder has to do with the server's data, which are not for
// functions; "": there is none.
func (b *buckets) inData(data string) (name string) {
	data, err := filepath.Abs(data)
	if err != nil {
		return "" // there is no current folder; nothing is to be found in it
	}
	for name, place := range b.places {
		folder := place.Folder()
		if folder != "" && (strings.HasPrefix(data+"/", folder+"/") || strings.HasPrefix(folder+"/", data+"/")) {
			return name
		}
	}
	return ""
}

// unusable is what keeps a bucket from being opened. It makes nothing, and no
// connections.
func (b *buckets) unusable() error {
	opened, err := blobio.New(context.Background(), blobio.Config{Limits: b.limits, Buckets: b.places, LookupEnv: os.LookupEnv})
	if err != nil {
		return err
	}
	return opened.Close()
}

// access says what tenants may do. What the grants don't name is the tenant default's
// to read and write.
func (b *buckets) access() (func(tenant, bucket string) blobio.Access, error) {
	granted := map[string]map[string]blobio.Access{}
	for _, text := range b.grants {
		g, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		if granted[g.bucket] == nil {
			granted[g.bucket] = map[string]blobio.Access{}
		}
		granted[g.bucket][g.tenant] = max(granted[g.bucket][g.tenant], g.access)
	}
	return func(tenant, bucket string) blobio.Access {
		if tenants, ok := granted[bucket]; ok {
			return tenants[tenant]
		}
		if tenant == registry.DefaultTenant {
			return blobio.ReadWrite
		}
		return blobio.None
	}, nil
}

// client opens the buckets, and makes metrics of them.
func (b *buckets) client(ctx context.Context, roots *x509.CertPool, metrics prometheus.Registerer) (*blobio.Client, error) {
	access, err := b.access()
	if err != nil {
		return nil, err
	}
	ended, err := b.countOperations(metrics)
	if err != nil {
		return nil, err
	}
	return blobio.New(ctx, blobio.Config{
		Limits: b.limits, Buckets: b.places, Access: access, Roots: roots, LookupEnv: os.LookupEnv, Ended: ended,
	})
}

// countOperations makes the metrics of what is done with buckets.
func (b *buckets) countOperations(metrics prometheus.Registerer) (ended func(blobio.Operation), err error) {
	operations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_blob_operations_total",
		Help: "What BlobGet, BlobPut and BlobList did with buckets, each blob and each list by itself, by what became of it.",
	}, []string{"bucket", "kind", "verb", "outcome"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_blob_bytes_total",
		Help: "Bytes of blobs that were got or put.",
	}, []string{"bucket", "kind", "verb"})
	for name, place := range b.places {
		for _, verb := range blobio.Verbs() {
			for _, outcome := range blobio.Outcomes() {
				operations.WithLabelValues(name, place.Kind(), string(verb), string(outcome))
			}
			if verb != blobio.List {
				bytes.WithLabelValues(name, place.Kind(), string(verb))
			}
		}
	}
	if err := errors.Join(metrics.Register(operations), metrics.Register(bytes)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return func(op blobio.Operation) {
		operations.WithLabelValues(op.Bucket, op.Kind, string(op.Verb), string(op.Outcome)).Inc()
		if op.Bytes > 0 {
			bytes.WithLabelValues(op.Bucket, op.Kind, string(op.Verb)).Add(float64(op.Bytes))
		}
	}, nil
}

// blobLimits are limits by the names that they have in settings.
func blobLimits(l *blobio.Limits) []httpLimit {
	return []httpLimit{
		{name: "at-once", number: &l.AtOnce, least: 1, most: 1000},
		{name: "attempts", number: &l.Attempts, least: 1, most: 10},
		{name: "list", number: &l.List, least: 1, most: 1_000_000},
		{name: "size", size: &l.Size},
		{name: "memory", size: &l.Memory},
		{name: "connect", time: &l.Connect},
		{name: "tls", time: &l.TLS},
		{name: "response", time: &l.Response},
		{name: "idle", time: &l.Idle},
		{name: "total", time: &l.Total},
	}
}

// blobLimitPairs are limits as the setting has them.
func blobLimitPairs(l blobio.Limits) (pairs []settings.Pair) {
	for _, limit := range blobLimits(&l) {
		pairs = append(pairs, settings.Pair{Name: limit.name, Value: limit.String()})
	}
	return pairs
}
