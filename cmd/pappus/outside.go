package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/cmd/pappus/internal/settings"
	"pappus/engine"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpio"
	"pappus/registry"
)

// outside is how I/O functions reach the world.
type outside struct {
	allow, deny []string // rules of the tenant default
	caBundle    string   // a file; "": the system's authorities only
	http        httpio.Limits
}

const caBundleHint = "name a file with certificates in PEM, which this user can read, with --ca-bundle"

// client makes what I/O functions speak HTTP by, and metrics of it.
func (o *outside) client(metrics prometheus.Registerer) (*httpio.Client, error) {
	var lists [2][]egress.Rule
	for i, list := range [][]string{o.allow, o.deny} {
		for _, text := range list {
			rule, err := egress.ParseRule(text)
			if err != nil {
				return nil, err
			}
			lists[i] = append(lists[i], rule)
		}
	}
	policy, err := egress.NewPolicy(lists[0], lists[1])
	if err != nil {
		return nil, err
	}
	roots, err := o.roots()
	if err != nil {
		return nil, err
	}
	ended, err := countRequests(metrics)
	if err != nil {
		return nil, err
	}
	return httpio.New(httpio.Config{
		Limits: o.http, Roots: roots, Ended: ended,
		Policy: func(tenant string) *egress.Policy {
			if tenant == registry.DefaultTenant {
				return policy
			}
			return nil // nothing but public addresses
		},
	})
}

// countRequests makes the metrics of requests that I/O functions make.
func countRequests(metrics prometheus.Registerer) (ended func(status, attempts int), err error) {
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
	return func(status, attempts int) {
		class := status / 100
		if class >= len(classes) {
			class = 0 // no answer that HTTP knows
		}
		answers.WithLabelValues(classes[class]).Inc()
		retries.Add(float64(max(attempts-1, 0)))
	}, nil
}

// roots are the authorities whose certificates are accepted; nil: the system's.
func (o *outside) roots() (*x509.CertPool, error) {
	if o.caBundle == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.caBundle)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without authorities: the file is all there is
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", o.caBundle)
	}
	return pool, nil
}

// checkRule accepts rules of an egress policy.
func checkRule(text string) error {
	_, err := egress.ParseRule(text)
	return err
}

// checkAllowed accepts those that allow something.
func checkAllowed(text string) error {
	rule, err := egress.ParseRule(text)
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
