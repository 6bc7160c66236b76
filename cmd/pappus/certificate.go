package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is what a server that encrypts shows of itself: a chain and its
// key, in files that are read again while it serves. It may be used from many
// goroutines.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// readCertificate reads a chain and its key from files in PEM.
func readCertificate(chain, key string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", chain, key, err)
	}
	return &pair, nil
}

const certificateHint = "name a PEM file with the certificate and those that sign it as tls-cert, and one with its key as tls-key"

// get is what the server calls at the beginning of a connection.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
