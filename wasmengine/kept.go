package wasmengine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"pappus/engine"
	"pappus/wasmengine/abi"
	modules "pappus/wasmengine/binary"
	"pappus/wasmengine/codecache"
	"pappus/wasmengine/domain"
)

// Files of an entry of code in the code cache, besides the machine code where
// wazero looks for it. If the module initialises, what that leaves is an entry
// of its own, with nothing but a state: it depends on limits.
const (
	moduleFile = "module" // a runnable
	stateFile  = "state"  // a state
)

// Bounds of what is read back.
const (
	maxHead = 1 << 20
	maxKept = 2 << 30
)

// runnable is a metered module and what else is known of it.
type runnable struct {
	Facts  facts
	Names  exportNames
	Imaged bool

	code   []byte
	frames []int64 // what calls are charged of the stack, see meter.Metered; not kept
}

// state is what calls start from: the content of an image.
type state struct {
	None    bool     // calls initialise for themselves, and were seen to be able to
	Pages   uint32   // size of the memory
	Globals []uint64 // see image
	Runs    []span   // where runs lie

	runs []run
}

// span is a part of a memory.
type span struct{ Offset, Length uint32 }

// codeKey names what is made of code alone, whatever the limits.
func (e *Engine) codeKey(tenant string, code []byte) codecache.Key {
	if e.config.Cache == nil {
		return codecache.Key{}
	}
	digest := sha256.Sum256(code)
	// In the order and form that docs/format.md gives. The caps decide whether
	// there is anything to be kept.
	return keyOf("pappus code 3", tenant, string(digest[:]), fmt.Sprint(Semantics), fmt.Sprint(!e.config.NoImages), e.children.Target().String(), fmt.Sprint(e.config.Caps))
}

// stateKey names the state that initialisation leaves under limits that it can
// notice: whether memory.grow succeeds, and how deep calls may nest.
func stateKey(code codecache.Key, most uint32, stack engine.Bytes) codecache.Key {
	return keyOf("pappus state 1", string(code[:]), fmt.Sprint(most), fmt.Sprint(int64(stack)))
}

// keyOf is the digest of parts, each with its length before it.
func keyOf(parts ...string) codecache.Key {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return codecache.Key(h.Sum(nil))
}

// fromCache loads a program from the code cache. It returns neither program
// nor error if it is not there or can't be used.
func (e *Engine) fromCache(ctx context.Context, key codecache.Key, code []byte, sig engine.Signature, lim engine.Limits) (*Program, error) {
	if e.config.Cache == nil {
		return nil, nil
	}
	entry, ok := e.config.Cache.Get(key)
	if !ok {
		return nil, nil
	}
	defer entry.Close()
	p, err := e.loadKept(ctx, key, code, entry.Dir(), sig, lim)
	var refused *engine.RejectedError
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil, errors.As(err, &refused), errors.Is(err, domain.ErrExhausted):
		return nil, err // nothing is wrong with what was kept
	}
	e.config.Log.WarnContext(ctx, "compiled code could not be loaded and is made again", slog.Any("error", err))
	entry.Reject()
	return nil, nil
}

// loadKept loads a program from an entry of code.
func (e *Engine) loadKept(ctx context.Context, key codecache.Key, code []byte, dir string, sig engine.Signature, lim engine.Limits) (*Program, error) {
	m, err := readRunnable(dir)
	if err != nil {
		return nil, err
	}
	if err := m.Facts.fits(lim); err != nil {
		return nil, err
	}
	// Otherwise wazero would compile it here, and write into the entry.
	machine, err := os.Lstat(e.machineFile(m, dir))
	if err != nil {
		return nil, err
	}
	p, err := e.load(ctx, m, sig, dir)
	if err != nil {
		return nil, err
	}
	p.size += machine.Size()
	if err := e.startKept(ctx, p, key, code, dir, lim); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// startKept gives a program that was loaded from an entry of code the state
// that calls start from.
func (e *Engine) startKept(ctx context.Context, p *Program, key codecache.Key, code []byte, dir string, lim engine.Limits) error {
	if !p.facts.Initializes {
		s, err := readState(dir, p)
		if err == nil {
			err = p.start(s)
		}
		return err
	}
	key = stateKey(key, p.most(lim), lim.Stack)
	if entry, ok := e.config.Cache.Get(key); ok {
		defer entry.Close()
		s, err := readState(entry.Dir(), p)
		if err == nil {
			return p.start(s)
		}
		e.config.Log.WarnContext(ctx, "the state of an initialised module could not be read and is made again", slog.Any("error", err))
		entry.Reject()
	}
	// Under these limits it has not been initialised yet.
	decoded, err := modules.Decode(code, e.config.Caps)
	if err != nil {
		return rejectDecoding(err)
	}
	s, err := p.prepare(ctx, dataOf(decoded), lim)
	if err != nil {
		return err
	}
	e.keepState(ctx, key, s)
	return nil
}

// keepCode makes the folder f, which holds the machine code of m, an entry.
func (e *Engine) keepCode(ctx context.Context, key codecache.Key, f *folder, m *runnable, s state) {
	err := m.write(f.dir)
	if err == nil && !m.Facts.Initializes {
		err = s.write(f.dir)
	}
	if err == nil {
		err = e.config.Cache.Put(key, f.dir)
	}
	e.notKept(ctx, err)
}

// keepState makes a state an entry.
func (e *Engine) keepState(ctx context.Context, key codecache.Key, after state) {
	dir, err := e.config.Cache.Scratch()
	if err == nil {
		err = after.write(dir)
		if err == nil {
			err = e.config.Cache.Put(key, dir)
		}
		if err != nil {
			e.config.Cache.Discard(dir)
		}
	}
	e.notKept(ctx, err)
}

// notKept tells that something was not kept, which costs time and nothing else.
func (e *Engine) notKept(ctx context.Context, err error) {
	if err != nil {
		e.config.Log.WarnContext(ctx, "what was made of a module is not kept", slog.Any("error", err))
	}
}

// errUnfit says that a file of an entry does not hold what was written to it:
// the seal has been checked, so another version of this program wrote it, or
// there is a defect.
var errUnfit = errors.New("not what is kept of a module")

// write writes m into a new file of dir.
func (m *runnable) write(dir string) error {
	return writeKept(filepath.Join(dir, moduleFile), m, m.code)
}

func readRunnable(dir string) (*runnable, error) {
	m := new(runnable)
	var err error
	if m.code, err = readKept(filepath.Join(dir, moduleFile), m); err != nil {
		return nil, err
	}
	f := &m.Facts
	memory := uint64(f.MinPages) * engine.PageSize
	switch {
	case f.Layout != layoutDandelion && f.Layout != layoutGrow && f.Layout != layoutFixed,
		f.MaxPages > engine.MaxPages, f.MinPages > engine.MaxPages,
		uint64(f.System)+abi.SystemSize > memory,
		f.Layout == layoutFixed && (f.HeapBase > f.HeapEnd || uint64(f.HeapEnd) > memory):
		return nil, fmt.Errorf("%w: impossible facts %+v", errUnfit, *f)
	}
	return m, nil
}

// write writes s into a new file of dir.
func (s *state) write(dir string) error {
	parts := make([][]byte, len(s.runs))
	s.Runs = make([]span, len(s.runs))
	for i, r := range s.runs {
		s.Runs[i], parts[i] = span{r.offset, uint32(len(r.bytes))}, r.bytes
	}
	return writeKept(filepath.Join(dir, stateFile), s, parts...)
}

// readState reads a state from which calls of p can start.
func readState(dir string, p *Program) (s state, err error) {
	rest, err := readKept(filepath.Join(dir, stateFile), &s)
	if err != nil {
		return state{}, err
	}
	if s.None == p.imaged || !s.None && (s.Pages < p.facts.MinPages || s.Pages > p.facts.MaxPages) ||
		len(s.Globals) != len(p.names.Globals) || (s.Globals != nil) != (p.imaged && p.facts.Initializes) {
		return state{}, fmt.Errorf("%w: an impossible state", errUnfit)
	}
	for _, at := range s.Runs {
		if uint64(at.Offset)+uint64(at.Length) > uint64(s.Pages)*engine.PageSize || uint64(at.Length) > uint64(len(rest)) {
			return state{}, fmt.Errorf("%w: a part of its memory lies outside", errUnfit)
		}
		s.runs = append(s.runs, run{at.Offset, rest[:at.Length:at.Length]})
		rest = rest[at.Length:]
	}
	if len(rest) > 0 {
		return state{}, fmt.Errorf("%w: %d bytes too many", errUnfit, len(rest))
	}
	return s, nil
}

// writeKept writes a new file: the length of head as JSON (4 bytes,
// big-endian), that JSON, and parts one after another.
func writeKept(path string, head any, parts ...[]byte) (err error) {
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode what is kept: %w", err)
	}
	if len(text) > maxHead {
		return fmt.Errorf("encode what is kept: %d bytes of description are more than %d", len(text), maxHead)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 64<<10)
	for _, part := range append([][]byte{binary.BigEndian.AppendUint32(nil, uint32(len(text))), text}, parts...) {
		_, _ = w.Write(part) // Flush has its error
	}
	return w.Flush()
}

// readKept reads such a file: head into a pointer, and what comes after it.
func readKept(path string, head any) (rest []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKept {
		return nil, fmt.Errorf("%w: %s has %d bytes", errUnfit, filepath.Base(path), info.Size())
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, fmt.Errorf("%w: %s ends early", errUnfit, filepath.Base(path))
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > maxHead || n > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %s ends early", errUnfit, filepath.Base(path))
	}
	if err := json.Unmarshal(b[:n], head); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUnfit, filepath.Base(path), err)
	}
	return b[n:], nil
}
