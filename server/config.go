package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"pappus/spans"
)

// Config is what an operator decides. A zero value stands for the default.
type Config struct {
	// AllowRemote lets the server listen on an address that other machines
	// can reach. There are no keys: everyone who reaches it may do everything.
	// With it, the Host of a request may also be any IP address.
	AllowRemote bool
	// Hosts are names besides loopback ones by which requests may call the
	// server.
	Hosts []string
	// Origins are the origins of web pages that may use the server, as
	// browsers spell them ("https://example.org"). None by default.
	Origins []string

	// Certificate is what the server shows when a connection begins; with it
	// all connections are encrypted. It may change at any time, and is called
	// by many goroutines.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	BodyLimit int64 // largest request body in bytes; 64 MiB
	CodeLimit int64 // largest body of a registration in bytes; 64 MiB
	ItemLimit int   // largest number of input items of a request; 100,000

	HeaderTimeout  time.Duration // for a request's headers to arrive; 10 s
	IdleTimeout    time.Duration // for the next request on a connection; 2 min
	MaxHeaderBytes int           // largest request header; 64 KiB

	// A body must arrive, and an answer be taken, at Rate bytes a second on
	// average, not counting the first Grace.
	Grace time.Duration // 10 s
	Rate  int64         // bytes a second; 16 KiB

	MemoryWait time.Duration // what Retry-After says of a server that is not ready; 5 s
	Shutdown   time.Duration // how long what runs may take to finish when the server stops; 30 s

	AccessLog bool // log every request

	// Spans traces invocations; nil: nobody does. It stays the caller's, who closes
	// it after the server.
	Spans *spans.Exporter
}

// withDefaults returns c with everything that is zero set to its default.
func (c Config) withDefaults() Config {
	bytes := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	duration := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	bytes(&c.BodyLimit, 64<<20)
	bytes(&c.CodeLimit, 64<<20)
	bytes(&c.Rate, 16<<10)
	duration(&c.HeaderTimeout, 10*time.Second)
	duration(&c.IdleTimeout, 2*time.Minute)
	duration(&c.Grace, 10*time.Second)
	duration(&c.MemoryWait, 5*time.Second)
	duration(&c.Shutdown, 30*time.Second)
	if c.ItemLimit == 0 {
		c.ItemLimit = 100_000
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 64 << 10
	}
	return c
}

func (c Config) check() error {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"body limit", c.BodyLimit}, {"code limit", c.CodeLimit}, {"item limit", int64(c.ItemLimit)},
		{"header timeout", int64(c.HeaderTimeout)}, {"idle timeout", int64(c.IdleTimeout)},
		{"header bytes", int64(c.MaxHeaderBytes)}, {"grace", int64(c.Grace)}, {"rate", c.Rate},
		{"memory wait", int64(c.MemoryWait)}, {"shutdown time", int64(c.Shutdown)},
	} {
		if v.value < 0 {
			return fmt.Errorf("server: %s is negative", v.name)
		}
	}
	return nil
}

// Check returns an error if a server would refuse the configuration.
func (c Config) Check() error { return c.withDefaults().check() }

// CheckListen returns an error if the server must not listen on addr, because
// other machines could reach it and AllowRemote is not set. Serve checks the
// address of its listener; this is for those who want to know before.
func (c Config) CheckListen(addr net.Addr) error {
	if c.AllowRemote {
		return nil
	}
	if isLocal(addr) {
		return nil
	}
	return fmt.Errorf("server: %s can be reached from other machines, and there are no keys: listen on 127.0.0.1, or allow remote clients explicitly", addr)
}

// isLocal reports whether only this machine can reach an address.
func isLocal(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
