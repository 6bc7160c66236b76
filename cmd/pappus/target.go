package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"pappus/client"
	"pappus/cmd/pappus/internal/settings"
	"pappus/internal/contexts"
	"pappus/internal/suggest"
)

// defaultServer is called when nothing says which.
const defaultServer = "http://127.0.0.1:8080"

// Variables that stand for the global flags.
const (
	serverVariable  = settings.Prefix + "SERVER"
	contextVariable = settings.Prefix + "CONTEXT"
	caVariable      = settings.Prefix + "CA"
)

// target is the server that a verb calls.
type target struct {
	Server  string `json:"server"`
	CA      string `json:"ca,omitempty"`
	Context string `json:"context,omitempty"`
	From    string `json:"from"` // what named it: a flag, a variable, a context, or "default"
}

// from says where the address comes from, in words.
func (t *target) from() string {
	if t.Context != "" {
		return "context " + t.Context + " (" + t.From + ")"
	}
	return t.From
}

const fromDefault = "default"

// findTarget finds out which server is to be called: flags go before variables,
// and these before what the file of contexts says.
func (c *commandLine) findTarget() (target, error) {
	t, err := c.findServer()
	if err != nil {
		return t, err
	}
	variable := c.variable(caVariable)
	t.CA = cmp.Or(c.global.ca, t.CA, variable)
	if c.global.ca != "" && !isHTTPS(t.Server) {
		return t, usage("leave --ca out, or name a server with https://", "--ca says who may sign a server's certificate, and %s has none", t.Server)
	}
	return t, nil
}

func (c *commandLine) findServer() (target, error) {
	switch {
	case c.global.server != "":
		return target{Server: c.global.server, From: "--server"}, nil
	case c.global.context != "":
		return c.contextTarget(c.global.context, "--context")
	}
	if server := c.variable(serverVariable); server != "" {
		return target{Server: server, From: serverVariable}, nil
	}
	if name := c.variable(contextVariable); name != "" {
		return c.contextTarget(name, contextVariable)
	}
	path, err := c.contextsPath()
	if err != nil { // a user without a home has no contexts
		return target{Server: defaultServer, From: fromDefault}, nil
	}
	file, err := readContexts(path)
	if err != nil {
		return target{}, err
	}
	if current, ok := file.Contexts[file.Current]; ok {
		return target{Server: current.Server, CA: current.CA, Context: file.Current, From: "pappus context use"}, nil
	}
	return target{Server: defaultServer, From: fromDefault}, nil
}

// variable is the value of a variable, "" if it is not set.
func (c *commandLine) variable(name string) string {
	value, _ := c.lookupEnv(name)
	return value
}

func (c *commandLine) contextTarget(name, from string) (target, error) {
	if name == fromDefault {
		return target{Server: defaultServer, From: from}, nil
	}
	path, err := c.contextsPath()
	if err != nil {
		return target{}, err
	}
	file, err := readContexts(path)
	if err != nil {
		return target{}, err
	}
	one, ok := file.Contexts[name]
	if !ok {
		return target{}, unknownContext(file, from, name)
	}
	return target{Server: one.Server, CA: one.CA, Context: name, From: from}, nil
}

// contextsPath is the file of this user's contexts.
func (c *commandLine) contextsPath() (string, error) {
	dir, err := c.configDir()
	if err != nil {
		return "", fail(exitFile, fmt.Errorf("find the folder for users' configuration: %w", err), "set HOME or XDG_CONFIG_HOME, or name the server with --server")
	}
	return contexts.Path(dir), nil
}

func readContexts(path string) (*contexts.File, error) {
	file, err := contexts.Read(path)
	return file, contextsFailure(err)
}

// contextsFailure says what to do about a file of contexts.
func contextsFailure(err error) error {
	var (
		damaged *contexts.DamagedError
		known   *failure
	)
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &damaged):
		return fail(exitFile, err, "correct the file, or remove it and add the contexts again; --server does without")
	case errors.Is(err, context.DeadlineExceeded):
		return fail(exitFile, err, "end the other command, and try again")
	}
	return fail(exitFile, fmt.Errorf("contexts: %w", err), "check that you may read and write the file and its folder; --server does without")
}

func unknownContext(file *contexts.File, from, name string) error {
	hint := "see what there is with: pappus context ls; add it with: pappus context add NAME URL"
	if like, ok := suggest.Closest(name, append(file.Names(), fromDefault)); ok {
		hint = didYouMean(like, hint)
	}
	if from != "" {
		from += ": "
	}
	return usage(hint, "%sthere is no context %q", from, name)
}

func isHTTPS(address string) bool { return strings.HasPrefix(address, "https://") }

// client makes a client of the server that is to be called.
func (c *commandLine) client() (*client.Client, error) {
	t, err := c.findTarget()
	if err != nil {
		return nil, err
	}
	var hc *http.Client
	if t.CA != "" && isHTTPS(t.Server) {
		if hc, err = trusting(t.CA); err != nil {
			return nil, err
		}
	}
	cl, err := client.New(t.Server, hc)
	if err != nil {
		return nil, usage("write it like http://127.0.0.1:8080", "%s: %w", t.from(), err)
	}
	c.target = t
	return cl, nil
}

// trusting makes a client that trusts those certificates only that are signed
// by one in a file.
func trusting(file string) (*http.Client, error) {
	roots, err := readCertificates(file)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}, nil
}

func readCertificates(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fail(exitFile, fmt.Errorf("certificates: %w", err), "name a file that you may read, in PEM, with --ca or in the context")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fail(exitFile, fmt.Errorf("certificates: %s has none in PEM", file), "it has lines like -----BEGIN CERTIFICATE-----")
	}
	return roots, nil
}

// advise adds to a failure's hint what only the command line can know: where
// the server's address came from, and names that are like one that is unknown.
func (c *commandLine) advise(ctx context.Context, f *failure) {
	var foreign *client.Problem
	if c.called.Name != "" && (f.Kind == "unknown-version" || f.Kind == "unknown-tag") {
		f.Hint = strings.ReplaceAll(f.Hint, "NAME", c.called.Name)
	}
	defer func() {
		if c.alsoFile != "" && (f.Exit == exitUnreachable || f.Kind == "unknown-function" || f.Kind == "bad-name") {
			f.Hint = fmt.Sprintf("there is a file of this name: to look at that, write ./%s; %s", c.alsoFile, f.Hint)
		}
	}()
	switch {
	case f.Exit == exitUnreachable:
		f.Hint = c.unreachableHint(f)
	case f.Kind == "unknown-function" || f.Kind == "unknown-tag":
		if like, ok := c.closest(ctx, f.Kind == "unknown-tag"); ok {
			f.Hint = didYouMean(like, f.Hint)
		}
	case f.Kind == "" && errors.As(f.err, &foreign):
		f.Hint = "check that the address is that of a Pappus server, and whether it wants http:// or https://" + c.comesFrom()
	}
}

func (c *commandLine) comesFrom() string {
	if c.target.From == fromDefault || c.target.From == "" {
		return ""
	}
	return "; the address comes from " + c.target.from()
}

func (c *commandLine) unreachableHint(f *failure) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		header    tls.RecordHeaderError
	)
	switch err := f.err; {
	case errors.As(err, &authority):
		return "if you trust the server, name the file of the certificate that signed its own with --ca" + c.comesFrom()
	case errors.As(err, &host):
		return "call the server by a name that its certificate has" + c.comesFrom()
	case errors.As(err, &invalid):
		return "have the server's certificate renewed, and check this machine's clock" + c.comesFrom()
	case errors.As(err, &header), err != nil && strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "the server speaks plain HTTP: write its address with http://" + c.comesFrom()
	}
	if from := c.comesFrom(); from != "" {
		return "start one with: pappus serve; or name another with --server or --context" + from
	}
	return "start one with: pappus serve; or name another with --server, " + serverVariable + " or: pappus context add"
}

// didYouMean puts a suggestion before a hint.
func didYouMean(like, hint string) string { return "did you mean " + like + "? " + hint }

// How much suggestions may take.
const (
	suggestTime  = time.Second
	suggestNames = 10_000
)

// closest asks the server for names like the one that it does not know: a
// function's, or one of its tags.
func (c *commandLine) closest(ctx context.Context, tag bool) (string, bool) {
	if c.called.Name == "" || ctx.Err() != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, suggestTime)
	defer cancel()
	cl, err := c.client()
	if err != nil {
		return "", false
	}
	defer cl.Close()
	if tag {
		like, ok := suggest.Closest(c.called.Tag, tagNames(ctx, cl, c.called.Name))
		return c.called.Name + "@" + like, ok
	}
	return suggest.Closest(c.called.Name, append(functionNames(ctx, cl), ioNames(ctx, cl)...))
}

// functionNames lists functions and compositions, as far as it can.
func functionNames(ctx context.Context, cl *client.Client) []string {
	var names []string
	for v, err := range everything(ctx, cl) {
		if err != nil || len(names) >= suggestNames {
			break
		}
		names = append(names, v.Name)
	}
	return names
}

// tagNames lists the tags of a function or composition, if it can.
func tagNames(ctx context.Context, cl *client.Client, name string) []string {
	page, err := versionsOf(cl, name)(ctx, "", 1)
	if err != nil || len(page.items) == 0 {
		return nil
	}
	return sortedTags(page.items[0].Tags)
}
