package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/cmd/pappus/internal/settings"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpcache"
	"pappus/iofuncs/httpio"
	"pappus/registry"
)

// outside is how I/O functions reach the world.
type outside struct {
	allow, deny      []string // rules of tenants, see tenantRule
	caBundle         string   // a file; "": the system's authorities only
	proxy            string   // its URL; "": none
	proxyCredentials string   // a file; "": it wants none
	cache, cacheDisk int64    // bytes of answers that are kept; 0: none
	http             httpio.Limits

	running *reach // what a running server has made of it
}

// reach is what I/O functions of a running server reach the world by.
type reach struct {
	client *httpio.Client
	cache  *httpcache.Store // nil: no answers are kept
	rules  rules            // that are in force
}

// rules are what can change of it.
type rules struct {
	httpio.Rules
	text        string // rules with the same text are the same
	authorities string // the digest of the CA bundle; "": there is none
}

const (
	caBundleHint = "name a file with certificates in PEM, which this user can read, with --ca-bundle"

	proxyHint = "name a file with USER:PASSWORD in it, which this user can read, with --proxy-credentials"

	// leastIOCache is what could hold any answer.
	leastIOCache = 64 << 10
)

// open makes what functions reach the world by, and metrics of it. folder is for
// answers that are kept on disk. propagate has servers told of traces.
func (o *outside) open(folder string, propagate bool, metrics prometheus.Registerer, log *slog.Logger) error {
	cache, err := o.openCache(folder, log)
	if err != nil {
		return err
	}
	o.running = &reach{cache: cache}
	if o.running.rules, err = o.makeRules(cache); err != nil {
		return err
	}
	ended, err := countRequests(metrics)
	if err != nil {
		return err
	}
	if cache != nil {
		if err := metrics.Register(newCacheMetrics(cache.Stats)); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	o.running.client, err = httpio.New(httpio.Config{Limits: o.http, Rules: o.running.rules.Rules, Propagate: propagate, Ended: ended})
	return err
}

// close ends what goes on in nobody's name, and closes connections.
func (o *outside) close() error {
	if o.running == nil {
		return nil
	}
	var err error
	if o.running.cache != nil {
		err = o.running.cache.Close()
	}
	if o.running.client != nil {
		o.running.client.Close()
	}
	return err
}

// openCache makes the cache of answers; nil: none are kept.
func (o *outside) openCache(folder string, log *slog.Logger) (*httpcache.Store, error) {
	if o.cache == 0 || o.cacheDisk == 0 {
		// It would be there again one day, long after somebody wanted it gone.
		if err := os.RemoveAll(folder); err != nil {
			return nil, fail(exitFile, fmt.Errorf("remove answers from before: %w", err), "remove the folder io-cache in the data folder")
		}
	}
	if o.cache == 0 {
		return nil, nil
	}
	options := httpcache.Options{Memory: o.cache, Log: log}
	if o.cacheDisk > 0 {
		options.Dir, options.Disk = folder, o.cacheDisk
	}
	cache, err := httpcache.Open(options)
	if err != nil {
		return nil, fail(exitFile, err, "check that the folder can be written, or do without it: --io-cache-disk 0")
	}
	return cache, nil
}

// makeRules makes the rules that the settings say. Errors are of files.
func (o *outside) makeRules(cache *httpcache.Store) (rules, error) {
	policy, err := policies(o.allow, o.deny)
	if err != nil {
		return rules{}, err
	}
	roots, authorities, err := o.roots()
	if err != nil {
		return rules{}, fail(exitFile, err, caBundleHint)
	}
	proxy, credentials, err := o.makeProxy()
	if err != nil {
		return rules{}, fail(exitFile, err, proxyHint)
	}
	r := rules{
		Rules:       httpio.Rules{Policy: policy, Roots: roots, Proxy: proxy},
		text:        strings.Join([]string{strings.Join(o.allow, ","), strings.Join(o.deny, ","), authorities, o.proxy, credentials}, "\n"),
		authorities: authorities,
	}
	if cache != nil {
		r.Through = func(tenant string, next http.RoundTripper) http.RoundTripper {
			// What was got under other rules may be what these refuse: no connection
			// is made for an answer that is kept, so nothing would be judged.
			return httpcache.New(next, cache, tenant).Under(policy(tenant).String() + "\n" + authorities)
		}
	}
	return r, nil
}

// changed makes the rules that the settings say now, for a server that runs. take
// puts them in force, and reports whether there are other authorities.
func (o *outside) changed() (take func() (authorities bool), err error) {
	now := o.running
	wanted, err := o.makeRules(now.cache)
	if err != nil {
		return nil, err
	}
	return func() bool {
		before := now.rules
		if before.text == wanted.text {
			return false // connections need not be made anew
		}
		now.rules = wanted
		now.client.Reload(wanted.Rules)
		return before.authorities != wanted.authorities
	}, nil
}

// hasFiles reports whether there are files that may say something else by now.
func (o *outside) hasFiles() bool { return o.caBundle != "" || o.proxyCredentials != "" }

// everyTenant stands for all tenants in rules.
const everyTenant = "*"

var tenantName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// tenantRule reads a rule of a setting: TENANT@RULE, or a RULE alone, which is
// the default tenant's.
func tenantRule(text string) (tenant string, rule egress.Rule, err error) {
	tenant, rest, ok := strings.Cut(text, "@")
	switch {
	case !ok, strings.Contains(tenant, "://"): // which is no rule either
		tenant, rest = registry.DefaultTenant, text
	case tenant != everyTenant && !tenantName.MatchString(tenant):
		return "", rule, fmt.Errorf("%.80q is not the name of a tenant, nor * for all of them", tenant)
	}
	rule, err = egress.ParseRule(rest)
	return tenant, rule, err
}

// policies makes the policy of each tenant. That of one with no rules has those of
// all tenants, and is nil if there are none.
func policies(allow, deny []string) (func(tenant string) *egress.Policy, error) {
	var lists [2]map[string][]egress.Rule
	tenants := map[string]bool{}
	for i, texts := range [][]string{allow, deny} {
		lists[i] = map[string][]egress.Rule{}
		for _, text := range texts {
			tenant, rule, err := tenantRule(text)
			if err != nil {
				return nil, err
			}
			tenants[tenant] = true
			lists[i][tenant] = append(lists[i][tenant], rule.As(text))
		}
	}
	all := map[string]*egress.Policy{}
	for tenant := range tenants {
		var parts [2][]egress.Rule
		for i := range parts {
			parts[i] = lists[i][everyTenant]
			if tenant != everyTenant {
				parts[i] = slices.Concat(parts[i], lists[i][tenant])
			}
		}
		policy, err := egress.NewPolicy(parts[0], parts[1])
		if err != nil {
			return nil, err
		}
		all[tenant] = policy
	}
	return func(tenant string) *egress.Policy {
		if p := all[tenant]; p != nil {
			return p
		}
		return all[everyTenant]
	}, nil
}

// countRequests makes the metrics of requests that I/O functions make.
func countRequests(metrics prometheus.Registerer) (ended func(iofuncs.Exchange), err error) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_http_requests_total",
		Help: "Requests that HTTP and system_HTTPGet made, by the class of the answer; none: there was no answer.",
	}, []string{"class"})
	retries := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pappus_io_http_retries_total",
		Help: "How often such requests were made again.",
	})
	classes := []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	for _, class := range classes {
		answers.WithLabelValues(class)
	}
	if err := errors.Join(metrics.Register(answers), metrics.Register(retries)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return func(e iofuncs.Exchange) {
		class := e.Status / 100
		if class >= len(classes) {
			class = 0 // no answer that HTTP knows
		}
		answers.WithLabelValues(classes[class]).Inc()
		retries.Add(float64(max(e.Attempts-1, 0)))
	}, nil
}

// roots are the authorities whose certificates are accepted, and a digest of those
// that a bundle has; nil: the system's.
func (o *outside) roots() (pool *x509.CertPool, digest string, err error) {
	if o.caBundle == "" {
		return nil, "", nil
	}
	text, err := os.ReadFile(o.caBundle)
	if err != nil {
		return nil, "", err
	}
	pool, err = x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without authorities: the file is all there is
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, "", fmt.Errorf("%s has no certificate in PEM", o.caBundle)
	}
	sum := sha256.Sum256(text)
	return pool, hex.EncodeToString(sum[:]), nil
}

// makeProxy makes the proxy of the settings; nil: there is none. It comes with what
// differs if its credentials do.
func (o *outside) makeProxy() (proxy *egress.Proxy, credentials string, err error) {
	if o.proxy == "" {
		return nil, "", nil
	}
	if o.proxyCredentials != "" {
		text, err := os.ReadFile(o.proxyCredentials)
		if err != nil {
			return nil, "", err
		}
		if credentials = strings.TrimRight(string(text), "\r\n"); credentials == "" {
			return nil, "", fmt.Errorf("%s is empty", o.proxyCredentials)
		}
	}
	if proxy, err = egress.NewProxy(o.proxy, credentials); err != nil {
		return nil, "", fmt.Errorf("%s: %w", o.proxyCredentials, err) // the URL was checked before
	}
	return proxy, credentials, nil
}

// checkProxy accepts the URL of a proxy.
func checkProxy(text string) error {
	_, err := egress.NewProxy(text, "")
	return err
}

// checkRule accepts rules of an egress policy.
func checkRule(text string) error {
	_, _, err := tenantRule(text)
	return err
}

// checkAllowed accepts those that allow something.
func checkAllowed(text string) error {
	_, rule, err := tenantRule(text)
	if err == nil {
		_, err = egress.NewPolicy([]egress.Rule{rule}, nil)
	}
	return err
}

// A httpLimit is one of httpio.Limits, or of blobio.Limits, by the name that it has in settings.
type httpLimit struct {
	name        string
	number      *int
	least, most int
	size        *int64
	time        *time.Duration
}

func httpLimits(l *httpio.Limits) []httpLimit {
	return []httpLimit{
		{name: "at-once", number: &l.AtOnce, least: 1, most: 1000},
		{name: "attempts", number: &l.Attempts, least: 1, most: 10},
		{name: "redirects", number: &l.Redirects, least: 0, most: 50},
		{name: "body", size: &l.Body},
		{name: "header", size: &l.Header},
		{name: "connect", time: &l.Connect},
		{name: "tls", time: &l.TLS},
		{name: "response", time: &l.Response},
		{name: "idle", time: &l.Idle},
		{name: "retry-after", time: &l.RetryAfter},
		{name: "total", time: &l.Total},
	}
}

func (l httpLimit) set(text string) error {
	switch {
	case l.number != nil:
		n, err := strconv.Atoi(text)
		if err != nil || n < l.least || n > l.most {
			return fmt.Errorf("%.40q is not a number from %d to %d", text, l.least, l.most)
		}
		*l.number = n
	case l.size != nil:
		n, err := engine.ParseBytes(text)
		if err != nil || n == 0 {
			return fmt.Errorf("%.40q is not a size above 0, like 64MiB", text)
		}
		*l.size = int64(n)
	default:
		d, err := engine.ParseDuration(text)
		if err != nil {
			return err
		}
		if d == 0 {
			return errors.New("0 is no time")
		}
		*l.time = time.Duration(d)
	}
	return nil
}

func (l httpLimit) String() string {
	switch {
	case l.number != nil:
		return strconv.Itoa(*l.number)
	case l.size != nil:
		return engine.Bytes(*l.size).String()
	}
	return engine.Duration(*l.time).String()
}

// httpLimitSetter sets limits by their names.
func httpLimitSetter(l *httpio.Limits) func(name, value string) error {
	return func(name, value string) error { return setLimit(httpLimits(l), name, value) }
}

func setLimit(limits []httpLimit, name, value string) error {
	var names []string
	for _, limit := range limits {
		if limit.name == name {
			return limit.set(value)
		}
		names = append(names, limit.name)
	}
	return fmt.Errorf("there is no such limit; there are %s", strings.Join(names, ", "))
}

// httpLimitPairs are limits as the setting has them.
func httpLimitPairs(l httpio.Limits) (pairs []settings.Pair) {
	for _, limit := range httpLimits(&l) {
		pairs = append(pairs, settings.Pair{Name: limit.name, Value: limit.String()})
	}
	return pairs
}
