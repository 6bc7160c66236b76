package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is what a server that encrypts shows of itself: a chain and its
// key, in files that can be read again while it serves. It may be used from many
// goroutines.
type certificate struct {
	chain, key string // files, in PEM
	current    atomic.Pointer[tls.Certificate]
}

// given reports whether the server is to encrypt.
func (c *certificate) given() bool { return c.chain != "" || c.key != "" }

// load reads the files. If it fails, what was loaded before stays.
func (c *certificate) load() error {
	if c.chain == "" || c.key == "" {
		return usage("give the other one too, or neither", "--tls-cert and --tls-key need each other")
	}
	pair, err := tls.LoadX509KeyPair(c.chain, c.key)
	if err != nil {
		return fail(exitFile, fmt.Errorf("certificate %s with key %s: %w", c.chain, c.key, err),
			"give a PEM file with the certificate and those that sign it to --tls-cert, and one with its key to --tls-key")
	}
	c.current.Store(&pair)
	return nil
}

// get is what the server calls at the beginning of a connection.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
