package connstest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Rekeying is a server of HTTPS that begins an answer, has its client change keys after
// each byte of it, and reads nothing of what the client says to that. Sooner or later the
// client has no room to say more.
type Rekeying struct {
	Address string // HOST:PORT
	Roots   *x509.CertPool
	Stuck   <-chan struct{} // has something when a client reads no more, or only very slowly
}

// NewRekeying starts one, which ends with the test.
func NewRekeying(t testing.TB) *Rekeying {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	certificate, roots := lender.TLS.Certificates[0], x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	lender.Close()

	// The system keeps less for a client that sends small segments to who takes little.
	const room, segment = 4 << 10, 536
	listening := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, room),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment),
			)
		})
		return errors.Join(failed, err)
	}}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stuck := make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				defer stop()
				defer func() { _ = c.Close() }() // the client may have left
				if err := rekey(ctx, c, certificate, stuck); err != nil {
					t.Error(err)
				}
				<-ctx.Done() // it is for the client to end it
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return &Rekeying{Address: l.Addr().String(), Roots: roots, Stuck: stuck}
}

// rekey serves a connection until the client reads no more. Its error is what the test
// is wrong about.
func rekey(ctx context.Context, c net.Conn, certificate tls.Certificate, stuck chan<- struct{}) error {
	var log bytes.Buffer
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true, // nothing is sent under the first keys but what is sent here
		KeyLogWriter:           &log,
	}
	encrypted := tls.Server(c, config)
	if encrypted.HandshakeContext(ctx) != nil {
		return nil // the client has left
	}
	if suite := encrypted.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		return fmt.Errorf("the test speaks TLS_AES_128_GCM_SHA256 only, not %s", tls.CipherSuiteName(suite))
	}
	if _, err := http.ReadRequest(bufio.NewReader(encrypted)); err != nil {
		return nil //nolint:nilerr // the client has left
	}
	out, err := newSender(log.String())
	if err != nil {
		return err
	}
	const updates = 14 // package tls takes 16 in a row at most
	said := out.record(typeData, []byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
	const still = 500 * time.Millisecond // who reads seldom takes so long
	for c.SetWriteDeadline(time.Now().Add(still)) == nil {
		if _, err := c.Write(said); err != nil {
			break
		}
		said = said[:0]
		for range 20 {
			for range updates {
				update, err := out.update()
				if err != nil {
					return err
				}
				said = append(said, update...)
			}
			said = append(said, out.record(typeData, []byte("x"))...)
		}
	}
	select {
	case stuck <- struct{}{}:
	default:
	}
	return nil
}

// The types of records of TLS.
const (
	typeHandshake = 22
	typeData      = 23
)

// sender writes records as a server does (RFC 8446, sections 5 and 7).
type sender struct {
	secret   []byte
	aead     cipher.AEAD
	nonce    []byte
	sequence uint64
}

// newSender makes one of what a server has logged of its keys.
func newSender(log string) (*sender, error) {
	for line := range strings.Lines(log) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "SERVER_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(words[2])
			if err != nil {
				return nil, err
			}
			s := new(sender)
			err = s.use(secret)
			return s, err
		}
	}
	return nil, errors.New("the server has logged no secret")
}

func (s *sender) use(secret []byte) error {
	key, err := expand(secret, "key", 16)
	if err != nil {
		return err
	}
	if s.nonce, err = expand(secret, "iv", 12); err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	s.secret, s.sequence = secret, 0
	s.aead, err = cipher.NewGCM(block)
	return err
}

func expand(secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{0, byte(size), byte(len(label))}, label...)
	return hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
}

func (s *sender) record(kind byte, content []byte) []byte {
	inner := append(bytes.Clone(content), kind)
	size := len(inner) + s.aead.Overhead()
	head := []byte{typeData, 3, 3, byte(size >> 8), byte(size)}
	nonce := bytes.Clone(s.nonce)
	last := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^s.sequence)
	s.sequence++
	return s.aead.Seal(head, nonce, inner, head)
}

// update is a record that says that the keys change, and that the client's are to.
func (s *sender) update() ([]byte, error) {
	const keyUpdate, requested = 24, 1
	record := s.record(typeHandshake, []byte{keyUpdate, 0, 0, 1, requested})
	secret, err := expand(s.secret, "traffic upd", sha256.Size)
	if err != nil {
		return nil, err
	}
	return record, s.use(secret)
}
