package main

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"pappus/client"
)

// A server that nobody named can be missing; one that somebody named can't.
func TestReachable(t *testing.T) {
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(defaultServer, "http://")); err == nil {
		_ = conn.Close()
		t.Skip("something listens at the usual address")
	}
	nothing := func(string) (string, bool) { return "", false }
	c := &commandLine{lookupEnv: nothing, configDir: func() (string, error) { return t.TempDir(), nil }}
	var b bytes.Buffer
	if cl, err := c.reachable(t.Context(), &b); cl != nil || err != nil || !strings.Contains(b.String(), "--offline") {
		t.Errorf("%v, %v, %q", cl, err, b.String())
	}
	c.global.server = "http://127.0.0.1:1"
	if cl, err := c.reachable(t.Context(), &b); cl != nil || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v, %v", cl, err)
	}
}
