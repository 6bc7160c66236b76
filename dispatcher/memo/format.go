package memo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pappus/data"
	"pappus/engine"
)

// The body of an entry on disk, version 2. Numbers are little-endian, texts and
// lists have their length (u32) before them:
//
//	"PMEM", version u32 = 2, key, kind u8 (0 success, 1 fault), fuel, pages, run
//	time in ns, limit of fuel of a fault out-of-fuel (u64 each)
//	of a success: the outputs, as package data encodes sets
//	of a fault: its kind, detail, hint, exit code u32, stderr, stack (a list of texts)
//
// A file is a body and a seal, 32 bytes: HMAC-SHA256 over the body, made with a
// key that lies beside the entries.
const (
	bodyMagic   = "PMEM"
	bodyVersion = 2

	bodySuccess = 0
	bodyFault   = 1

	sealSize = sha256.Size
)

// errDamaged is matched by what is wrong with a file; everything else that may
// go wrong is the disk's.
var errDamaged = errors.New("not an entry of the memo")

// appendBody encodes an entry. It fails if its outputs have no encoding, which
// those of a function have.
func appendBody(b []byte, e *entry) ([]byte, error) {
	b = append(b, bodyMagic...)
	b = le.AppendUint32(b, bodyVersion)
	b = append(b, e.key[:]...)
	kind := byte(bodySuccess)
	if e.fault != nil {
		kind = bodyFault
	}
	b = append(b, kind)
	for _, n := range []int64{e.usage.Fuel, e.usage.MemoryPages, int64(runTime(e.usage)), e.limit} {
		b = le.AppendUint64(b, uint64(n))
	}
	if e.fault == nil {
		return data.AppendEncoding(b, e.outputs)
	}
	b = appendText(b, string(e.fault.Kind))
	b = appendText(b, e.fault.Detail)
	b = appendText(b, e.fault.Hint)
	b = le.AppendUint32(b, uint32(e.fault.ExitCode))
	b = le.AppendUint32(b, uint32(len(e.fault.Stderr)))
	b = append(b, e.fault.Stderr...)
	b = le.AppendUint32(b, uint32(len(e.fault.Stack)))
	for _, call := range e.fault.Stack {
		b = appendText(b, call)
	}
	return b, nil
}

// decodeBody is the inverse of appendBody, and accepts nothing else. The entry
// refers to b.
func decodeBody(b []byte) (*entry, error) {
	r := reader{rest: b}
	if string(r.take(uint64(len(bodyMagic)))) != bodyMagic {
		return nil, fmt.Errorf("%w: it does not start with %q", errDamaged, bodyMagic)
	}
	if v := r.u32(); v != bodyVersion {
		return nil, fmt.Errorf("%w: version %d is not known, only %d", errDamaged, v, bodyVersion)
	}
	e := &entry{cost: entryOverhead + int64(len(b))}
	copy(e.key[:], r.take(uint64(len(e.key))))
	kind := r.u8()
	e.usage.Fuel, e.usage.MemoryPages = r.number(), r.number()
	e.usage.Run, e.limit = time.Duration(r.number()), r.number()
	switch {
	case r.failed:
	case kind == bodySuccess && e.limit == 0:
		var err error
		if e.outputs, err = data.Decode(r.rest); err != nil {
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		e.cost += int64(len(e.outputs))*setOverhead + int64(data.Count(e.outputs))*itemOverhead
		return e, nil
	case kind == bodyFault:
		e.fault = r.fault()
		e.fault.Usage = e.usage
	default:
		r.failed = true
	}
	if r.failed || len(r.rest) > 0 || (e.limit > 0) != (e.fault.Kind == engine.FaultOutOfFuel) {
		return nil, fmt.Errorf("%w: its body has not the form of version %d", errDamaged, bodyVersion)
	}
	return e, nil
}

// reader takes values from the front of rest. After the first failure all are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

// number reads one that is not negative.
func (r *reader) number() int64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	n := int64(le.Uint64(b))
	if n < 0 {
		r.failed = true
		return 0
	}
	return n
}

func (r *reader) text() []byte { return r.take(uint64(r.u32())) }

func (r *reader) fault() *engine.Fault {
	f := &engine.Fault{Kind: engine.FaultKind(r.text()), Detail: string(r.text()), Hint: string(r.text()), ExitCode: int32(r.u32())}
	if !f.Kind.Deterministic() {
		r.failed = true
	}
	if stderr := r.text(); len(stderr) > 0 {
		f.Stderr = stderr
	}
	calls := r.u32()
	if uint64(calls) > uint64(len(r.rest))/4 { // each has its length
		r.failed = true
		return f
	}
	for range calls {
		f.Stack = append(f.Stack, string(r.text()))
	}
	return f
}

// A secret is what seals and names are made with: who can't read it can neither
// make an entry nor tell from a file's name whether a guess at a key is right.
type secret [32]byte

// mac is HMAC-SHA256 over a purpose and parts of known lengths.
func (s *secret) mac(purpose string, parts ...[]byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, s[:])
	io.WriteString(h, purpose) //nolint:errcheck // a hash can't fail
	h.Write([]byte{0})
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

const (
	sealPurpose   = "pappus memo entry 1"
	namePurpose   = "pappus memo name 1"
	tenantPurpose = "pappus memo tenant 1"
	codePurpose   = "pappus memo code 1"
)

// seal encodes an entry as a file.
func (s *secret) seal(e *entry) ([]byte, error) {
	size := 128 + data.Size(e.outputs) + e.cost
	b, err := appendBody(make([]byte, 0, size), e)
	if err != nil {
		return nil, err
	}
	mac := s.mac(sealPurpose, b)
	return append(b, mac[:]...), nil
}

// open decodes a file, all of whose bytes it checks, as the entry of key.
func (s *secret) open(b []byte, key Key) (*entry, error) {
	if len(b) < sealSize {
		return nil, fmt.Errorf("%w: it has %d bytes", errDamaged, len(b))
	}
	body, seal := b[:len(b)-sealSize:len(b)-sealSize], b[len(b)-sealSize:]
	mac := s.mac(sealPurpose, body)
	if !hmac.Equal(mac[:], seal) {
		return nil, fmt.Errorf("%w: its seal is wrong", errDamaged)
	}
	e, err := decodeBody(body)
	if err != nil {
		return nil, err
	}
	if e.key != key {
		return nil, fmt.Errorf("%w: it is that of another key", errDamaged)
	}
	return e, nil
}

const secretName = "key"

// readSecret reads the secret of a folder. It is not there, or can't be
// trusted, if fresh is true.
func readSecret(dir string) (s *secret, fresh bool, err error) {
	path := filepath.Join(dir, secretName)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() != int64(len(secret{})) {
		return nil, true, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	if len(b) != len(secret{}) {
		return nil, true, nil
	}
	return (*secret)(b), false, nil
}

func writeSecret(dir string) (*secret, error) {
	s := new(secret)
	if _, err := rand.Read(s[:]); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, secretName)
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	return s, os.WriteFile(path, s[:], 0o600)
}
