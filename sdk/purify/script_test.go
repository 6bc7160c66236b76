package purify_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

// workerEnv makes the test binary be the compile process.
const workerEnv = "PAPPUS_TEST_COMPILE_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) == "1" {
		os.Exit(wasmengine.CompileWorker(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Exit))
	}
	goleak.VerifyTestMain(m)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// function is a pure function that is ready to run.
type function struct {
	t       testing.TB
	program engine.Program
	limits  engine.Limits
}

func prepare(t testing.TB, code []byte, config wasmengine.Config) *function {
	t.Helper()
	t.Setenv(workerEnv, "1")
	config.Compiler, config.CompileTimeout = []string{"/proc/self/exe"}, 5*time.Minute // a machine may be slow
	e, err := wasmengine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, limits: insp.Manifest.Limits.Or(engine.DefaultLimits())}
	if f.program, err = e.Prepare(t.Context(), code, insp.Manifest.Signature(), f.limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.program.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// outputs are items by SET/NAME.
type outputs map[string]string

// run runs the function; a fault is returned.
func (f *function) run(in ...data.Set) (outputs, error) {
	f.t.Helper()
	result, err := f.program.Run(f.t.Context(), in, f.limits)
	if err != nil {
		return nil, err
	}
	defer result.Release()
	out := outputs{}
	for _, s := range result.Outputs {
		for _, it := range s.Items {
			key := s.Name + "/" + it.Name()
			if _, twice := out[key]; twice {
				f.t.Errorf("two items %s", key)
			}
			out[key] = string(it.Bytes())
		}
	}
	return out, nil
}

// set makes a set of items without keys, from names and texts.
func set(name string, items ...string) data.Set {
	s := data.Set{Name: name}
	for i := 0; i < len(items); i += 2 {
		s.Items = append(s.Items, data.NewItem(items[i], 0, []byte(items[i+1])))
	}
	return s
}

// callsManifest is that of testdata/calls.wasm: the script comes in the first
// set, and results go to the last.
const callsManifest = `{"inputs":["script","stdio","in"],"outputs":["stdio","out","results"]}`

func purified(t testing.TB, file string, o purify.Options) []byte {
	t.Helper()
	code, err := purify.Purify(read(t, file), o)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// functions numbers what testdata/calls.c can call.
var functions = sync.OnceValue(func() map[string]byte {
	source, err := os.ReadFile("testdata/calls.c")
	if err != nil {
		return nil
	}
	m := map[string]byte{}
	for _, c := range regexp.MustCompile(`case (\d+): return (?:wasi|direct)_(\w+)\(`).FindAllStringSubmatch(string(source), -1) {
		n, err := strconv.Atoi(c[1])
		if err != nil || n > 255 {
			return nil
		}
		name := c[2]
		if _, taken := m[name]; taken {
			name = "direct_" + name
		}
		m[name] = byte(n)
	}
	return m
})

// A script makes calls and then looks at what came of them. Where its methods
// take an offset, it is one of the memory that it has for itself.
type script struct {
	t       testing.TB
	code    []byte
	next    uint32
	results []func(take func(n int) []byte)
}

func newScript(t testing.TB) *script { return &script{t: t, next: 16} }

type (
	pointer uint32 // an argument: the address of an offset
	loaded  uint32 // an argument: the u32 at an offset
)

// room sets bytes aside, aligned to 8.
func (s *script) room(n int) pointer {
	p := s.next
	s.next += uint32(n+7) &^ 7
	if s.next > 1<<20 {
		s.t.Fatal("the script takes too much memory")
	}
	return pointer(p)
}

func (s *script) u32(v uint32) { s.code = binary.LittleEndian.AppendUint32(s.code, v) }

// bytes puts text into memory.
func (s *script) bytes(text string) pointer {
	p := s.room(len(text))
	s.poke(p, text)
	return p
}

func (s *script) poke(p pointer, text string) {
	s.code = append(s.code, 'P')
	s.u32(uint32(p))
	s.u32(uint32(len(text)))
	s.code = append(s.code, text...)
}

// pieces is an iovec of parts of the memory.
func (s *script) pieces(list ...piece) pointer {
	p := s.room(8 * len(list))
	for i, l := range list {
		s.code = append(s.code, 'A')
		s.u32(uint32(p) + uint32(8*i))
		s.u32(uint32(l.at))
		s.poke(p+pointer(8*i+4), string(binary.LittleEndian.AppendUint32(nil, uint32(l.len))))
	}
	return p
}

type piece struct {
	at  pointer
	len int
}

// call calls a function. Numbers are passed as they are.
func (s *script) call(name string, args ...any) *result {
	s.t.Helper()
	n, ok := functions()[name]
	if !ok {
		s.t.Fatalf("there is no function %s", name)
	}
	s.code = append(s.code, 'C', n, byte(len(args)))
	for _, a := range args {
		var kind byte
		var v uint64
		switch a := a.(type) {
		case int:
			v = uint64(a)
		case int64:
			v = uint64(a)
		case uint32:
			v = uint64(a)
		case uint64:
			v = a
		case pointer:
			kind, v = 1, uint64(a)
		case loaded:
			kind, v = 2, uint64(a)
		default:
			s.t.Fatalf("%s: an argument of type %T", name, a)
		}
		s.code = binary.LittleEndian.AppendUint64(append(s.code, kind), v)
	}
	return s.result(name, 4)
}

func (s *script) copy(to, from pointer, n int) {
	s.code = append(s.code, 'B')
	s.u32(uint32(to))
	s.u32(uint32(from))
	s.u32(uint32(n))
}

func (s *script) grow(pages uint32) *result {
	s.code = append(s.code, 'M')
	s.u32(pages)
	return s.result("memory.grow", 4)
}

// get reads memory as it is at this point of the script.
func (s *script) get(p pointer, n int) *result {
	s.code = append(s.code, 'G')
	s.u32(uint32(p))
	s.u32(uint32(n))
	return s.result("memory", n)
}

// result is what comes of a step; it is known when the script has run.
type result struct {
	what  string
	known bool
	bytes []byte
}

func (s *script) result(what string, n int) *result {
	r := &result{what: what}
	s.results = append(s.results, func(take func(n int) []byte) { r.bytes, r.known = take(n), true })
	return r
}

func (r *result) value() uint64 {
	v := uint64(0)
	for i, b := range r.bytes[:min(len(r.bytes), 8)] {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// item is the script as the function gets it.
func (s *script) item() data.Set {
	return data.Set{Name: "script", Items: []*data.Item{data.NewItem("script", 0, s.code)}}
}

// run runs the script and makes its results known.
func (s *script) run(f *function, in ...data.Set) outputs {
	s.t.Helper()
	out, err := f.run(append([]data.Set{s.item()}, in...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	got := []byte(out["results/"])
	delete(out, "results/")
	for _, r := range s.results {
		r(func(n int) []byte {
			if n > len(got) {
				s.t.Fatalf("the results end too soon")
			}
			b := got[:n]
			got = got[n:]
			return b
		})
	}
	return out
}

// The errors that scripts meet, by their names.
var errnos = map[string]uint64{
	"": 0, "BADF": 8, "BUSY": 10, "EXIST": 20, "FBIG": 22, "ILSEQ": 25, "INVAL": 28, "ISDIR": 31, "MFILE": 33, "NAMETOOLONG": 37,
	"NOENT": 44, "NOSPC": 51, "NOSYS": 52, "NOTDIR": 54, "NOTEMPTY": 55, "NOTSUP": 58, "OVERFLOW": 61, "SPIPE": 70, "NOTCAPABLE": 76,
}

func errnoText(v uint64) string {
	for name, n := range errnos {
		if n == v {
			return name
		}
	}
	return strconv.FormatUint(v, 10)
}

// want says what a call is to return, after the script has run.
func (r *result) want(t testing.TB, errno string) {
	t.Helper()
	if !r.known {
		t.Fatalf("%s: it was not run", r.what)
	}
	if r.value() != errnos[errno] {
		t.Errorf("%s: errno %q, want %q", r.what, errnoText(r.value()), errno)
	}
}

// is says what memory is to hold.
func (r *result) is(t testing.TB, text string) {
	t.Helper()
	if string(r.bytes) != text {
		t.Errorf("%s: %q, want %q", r.what, r.bytes, text)
	}
}

// Calls that take more than one step.

const (
	rightRead, rightWrite = 1 << 1, 1 << 6
	allRights             = 1<<30 - 1
	root                  = 3 // the descriptor of the preopened directory
)

func (s *script) open(path string, how int, rights uint64, flags int) (fd loaded, r *result) {
	return s.openAt(root, path, how, rights, flags)
}

func (s *script) openAt(dir any, path string, how int, rights uint64, flags int) (fd loaded, r *result) {
	p, out := s.bytes(path), s.room(4)
	r = s.call("path_open", dir, 0, p, len(path), how, rights, uint64(allRights), flags, out)
	r.what += " " + strings.ToValidUTF8(path, "?")
	return loaded(out), r
}

func (s *script) write(fd any, text string) (n, r *result) {
	out := s.room(4)
	r = s.call("fd_write", fd, s.pieces(piece{s.bytes(text), len(text)}), 1, out)
	return s.get(out, 4), r
}

// read reads up to n bytes; those behind what was read are zero.
func (s *script) read(fd any, n int) (text, got, r *result) {
	to, out := s.room(n), s.room(4)
	s.poke(to, strings.Repeat("\x00", n))
	r = s.call("fd_read", fd, s.pieces(piece{to, n}), 1, out)
	return s.get(to, n), s.get(out, 4), r
}

func (s *script) path(call string, path string, more ...any) *result {
	r := s.call(call, append([]any{root, s.bytes(path), len(path)}, more...)...)
	r.what += " " + path
	return r
}

func (s *script) stat(path string) (stat, r *result) {
	out := s.room(64)
	r = s.call("path_filestat_get", root, 1, s.bytes(path), len(path), out)
	r.what += " " + path
	return s.get(out, 64), r
}

// entries reads a directory in pieces of so many bytes, up to so many times.
func (s *script) entries(fd any, size int, cookie uint64) (buffer, used, r *result) {
	out, n := s.room(size), s.room(4)
	r = s.call("fd_readdir", fd, out, size, cookie, n)
	return s.get(out, size), s.get(n, 4), r
}

// dirent is an entry of a directory.
type dirent struct {
	next, inode uint64
	kind        byte
	name        string
}

// dirents reads what fd_readdir wrote; cut says that the last entry is not
// whole.
func dirents(b []byte) (list []dirent, cut bool) {
	for len(b) > 0 {
		if len(b) < 24 {
			return list, true
		}
		n := int(binary.LittleEndian.Uint32(b[16:]))
		if len(b) < 24+n {
			return list, true
		}
		list = append(list, dirent{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), b[20], string(b[24 : 24+n])})
		b = b[24+n:]
	}
	return list, false
}

func names(list []dirent) string {
	var all []string
	for _, d := range list {
		all = append(all, d.name)
	}
	return strings.Join(all, " ")
}
