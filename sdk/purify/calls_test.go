package purify_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

// calls prepares testdata/calls.wasm as a pure function.
func calls(t testing.TB) *function {
	return prepare(t, purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(callsManifest)}), wasmengine.Config{})
}

// input is what the scripts find.
func input() []data.Set {
	return []data.Set{
		set("stdio", "stdin", "line one\nline two\n", "argv", ` prog  'a b' c"d e"f '' "it's" `, "environ", "A=1\nB='two words'\tC="),
		set("in", "a.txt", "hello", "sub/deep/b.txt", "deep", "empty", ""),
	}
}

const (
	create, directory, exclusive, truncate = 1, 2, 4, 8
	appending                              = 1
)

func TestOpen(t *testing.T) {
	f := calls(t)
	for _, c := range []struct {
		path   string
		how    int
		rights uint64
		flags  int
		want   string
	}{
		{"in/a.txt", 0, rightRead, 0, ""},
		{"/in/a.txt", 0, rightRead, 0, ""},
		{"./in/./a.txt", 0, rightRead, 0, ""},
		{"in//a.txt", 0, rightRead, 0, ""},
		{"in/sub/../a.txt", 0, rightRead, 0, ""},
		{"in/sub/deep/../../a.txt", 0, rightRead, 0, ""},
		{"in/missing/../a.txt", 0, rightRead, 0, "NOENT"},
		{"in/a.txt/../a.txt", 0, rightRead, 0, "NOTDIR"},
		{"in/missing", 0, rightRead, 0, "NOENT"},
		{"missing/a.txt", 0, rightRead, 0, "NOENT"},
		{"", 0, rightRead, 0, "NOENT"},
		{"in/a.txt/", 0, rightRead, 0, "NOTDIR"},
		{"in/a.txt/.", 0, rightRead, 0, "NOTDIR"},
		{"in/a.txt/x", 0, rightRead, 0, "NOTDIR"},
		{"in/a.txt/x", create, rightRead, 0, "NOTDIR"},
		{"in/a.txt", directory, rightRead, 0, "NOTDIR"},
		{"..", 0, rightRead, 0, "NOTCAPABLE"},
		{"../in", 0, rightRead, 0, "NOTCAPABLE"},
		{"in/../../in", 0, rightRead, 0, "NOTCAPABLE"},
		{"in\x00/a", 0, rightRead, 0, "INVAL"},
		{".", directory, rightRead, 0, ""},
		{"in", 0, rightRead, 0, ""},
		{"in", directory, rightRead, 0, ""},
		{"in/", directory, rightRead, 0, ""},
		{"in", 0, rightWrite, 0, "ISDIR"},
		{"in", create, rightRead, 0, "ISDIR"},
		{"in", truncate, rightRead, 0, "ISDIR"},
		{"in", create | directory, rightRead, 0, "INVAL"},
		{"in/a.txt", create | exclusive, rightRead, 0, "EXIST"},
		{"in", create | exclusive, rightRead, 0, "EXIST"},
		{"in/a.txt", create, rightRead | rightWrite, appending, ""},
		{"out/new", create, rightRead | rightWrite, 0, ""},
		{"out/new/", create, rightWrite, 0, "ISDIR"},
		{"out/no/new", create, rightWrite, 0, "NOENT"},
		{"out/grüße", create, rightWrite, 0, ""},
		{"out/\xff", create, rightWrite, 0, "ILSEQ"},
		{"out/\xed\xa0\x80", create, rightWrite, 0, "ILSEQ"},
		{"out/\xc0\xaf", create, rightWrite, 0, "ILSEQ"},
		{"out/\xf0\x80\x80\x80", create, rightWrite, 0, "ILSEQ"},
		{"out/\xf4\x90\x80\x80", create, rightWrite, 0, "ILSEQ"},
		{"out/😀", create, rightWrite, 0, ""},
		{"out/cut\xe2\x82", create, rightWrite, 0, "ILSEQ"},
		{"out/line\nbreak", create, rightWrite, 0, "ILSEQ"},
		{"out/\u0085", create, rightWrite, 0, "ILSEQ"},
		{"out/\u2028", create, rightWrite, 0, "ILSEQ"},
		{"out/" + strings.Repeat("x", 255), create, rightWrite, 0, ""},
		{"out/" + strings.Repeat("x", 256), create, rightWrite, 0, "NAMETOOLONG"},
		{"in/a.txt", 16, rightRead, 0, "INVAL"},
		{"in/a.txt", 0, rightRead, 32, "INVAL"},
		{"dev/null", 0, rightRead | rightWrite, 0, ""},
		{"tmp/scratch", create, rightRead | rightWrite, 0, ""},
	} {
		s := newScript(t)
		_, r := s.open(c.path, c.how, c.rights, c.flags)
		s.run(f, input()...)
		r.want(t, c.want)
	}
}

func TestOpenBelow(t *testing.T) {
	s := newScript(t)
	dir, r := s.open("in/sub", directory, rightRead, 0)
	file, r1 := s.openAt(dir, "deep/b.txt", 0, rightRead, 0)
	_, r2 := s.openAt(dir, "../a.txt", 0, rightRead, 0)
	_, r3 := s.openAt(dir, "/in/a.txt", 0, rightRead, 0)
	_, r4 := s.openAt(file, "x", 0, rightRead, 0)
	_, r5 := s.openAt(77, "x", 0, rightRead, 0)
	text, n, _ := s.read(file, 4)
	s.run(calls(t), input()...)
	for i, want := range []string{"", "", "NOTCAPABLE", "NOTCAPABLE", "NOTDIR", "BADF"} {
		[]*result{r, r1, r2, r3, r4, r5}[i].want(t, want)
	}
	text.is(t, "deep")
	if n.value() != 4 {
		t.Errorf("read %d", n.value())
	}
}

func TestReadWriteSeek(t *testing.T) {
	s := newScript(t)
	fd, _ := s.open("in/a.txt", 0, rightRead|rightWrite, 0)
	a, an, _ := s.read(fd, 3)
	b, bn, _ := s.read(fd, 10)
	_, cn, cr := s.read(fd, 10)
	at := s.room(8)
	end := s.call("fd_seek", fd, -2, 2, at)
	endAt := s.get(at, 8)
	_, wr := s.write(fd, "LONGER")
	set := s.call("fd_seek", fd, 1, 0, at)
	here := s.call("fd_seek", fd, 2, 1, at)
	hereAt := s.get(at, 8)
	tell := s.call("fd_tell", fd, at)
	tellAt := s.get(at, 8)
	negative := s.call("fd_seek", fd, -100, 1, at)
	whence := s.call("fd_seek", fd, 0, 3, at)
	over := s.call("fd_seek", fd, int64(1<<62), 0, at)
	over2 := s.call("fd_seek", fd, int64(1<<62), 1, at)
	_, far := s.write(fd, "x")
	s.call("fd_seek", fd, 0, 0, at)
	all, n, _ := s.read(fd, 20)
	// Scattered, at an offset, and past the end.
	p, q, out := s.room(2), s.room(20), s.room(4)
	pr := s.call("fd_pread", fd, s.pieces(piece{p, 2}, piece{q, 20}), 2, 1, out)
	pp, qq, pn := s.get(p, 2), s.get(q, 7), s.get(out, 4)
	past := s.call("fd_pread", fd, s.pieces(piece{p, 2}), 1, 100, out)
	pastN := s.get(out, 4)
	// A hole reads as zero.
	pw := s.call("fd_pwrite", fd, s.pieces(piece{s.bytes("end"), 3}), 1, 12, out)
	hole := s.call("fd_pread", fd, s.pieces(piece{q, 20}), 1, 0, out)
	whole, holeN := s.get(q, 15), s.get(out, 4)
	s.run(calls(t), input()...)

	a.is(t, "hel")
	b.is(t, "lo"+strings.Repeat("\x00", 8))
	cr.want(t, "")
	if an.value() != 3 || bn.value() != 2 || cn.value() != 0 || endAt.value() != 3 || hereAt.value() != 3 || tellAt.value() != 3 {
		t.Errorf("%d %d %d at %d, %d, %d", an.value(), bn.value(), cn.value(), endAt.value(), hereAt.value(), tellAt.value())
	}
	for _, r := range []*result{end, wr, set, here, tell, over, pr, past, pw, hole} {
		r.want(t, "")
	}
	negative.want(t, "INVAL")
	whence.want(t, "INVAL")
	over2.want(t, "OVERFLOW")
	far.want(t, "FBIG")
	all.is(t, "helLONGER"+strings.Repeat("\x00", 11))
	pp.is(t, "el")
	qq.is(t, "LONGER\x00")
	whole.is(t, "helLONGER\x00\x00\x00end")
	if n.value() != 9 || pn.value() != 8 || pastN.value() != 0 || holeN.value() != 15 {
		t.Errorf("%d %d %d %d", n.value(), pn.value(), pastN.value(), holeN.value())
	}
}

// What can't be done with a descriptor, or on what it is open.
func TestRefusedOnDescriptors(t *testing.T) {
	f := calls(t)
	buffer, out, at := pointer(64), pointer(32), pointer(40)
	pieces := func(s *script) pointer { return s.pieces(piece{buffer, 4}) }
	for _, c := range []struct {
		name string
		call func(s *script, fd any) *result
		want [5]string // of: nothing, a directory, a file to be read, one to be written, the null device
	}{
		{"read", func(s *script, fd any) *result { return s.call("fd_read", fd, pieces(s), 1, out) }, [5]string{"BADF", "ISDIR", "", "BADF", ""}},
		{"pread", func(s *script, fd any) *result { return s.call("fd_pread", fd, pieces(s), 1, 0, out) }, [5]string{"BADF", "ISDIR", "", "BADF", ""}},
		{"write", func(s *script, fd any) *result { return s.call("fd_write", fd, pieces(s), 1, out) }, [5]string{"BADF", "BADF", "BADF", "", ""}},
		{"pwrite", func(s *script, fd any) *result { return s.call("fd_pwrite", fd, pieces(s), 1, 0, out) }, [5]string{"BADF", "BADF", "BADF", "", ""}},
		{"seek", func(s *script, fd any) *result { return s.call("fd_seek", fd, 0, 0, at) }, [5]string{"BADF", "BADF", "", "", "SPIPE"}},
		{"tell", func(s *script, fd any) *result { return s.call("fd_tell", fd, at) }, [5]string{"BADF", "BADF", "", "", "SPIPE"}},
		{"sync", func(s *script, fd any) *result { return s.call("fd_sync", fd) }, [5]string{"BADF", "", "", "", ""}},
		{"datasync", func(s *script, fd any) *result { return s.call("fd_datasync", fd) }, [5]string{"BADF", "", "", "", ""}},
		{"advise", func(s *script, fd any) *result { return s.call("fd_advise", fd, 0, 0, 0) }, [5]string{"BADF", "BADF", "", "", ""}},
		{"advise nonsense", func(s *script, fd any) *result { return s.call("fd_advise", fd, 0, 0, 6) }, [5]string{"BADF", "BADF", "INVAL", "INVAL", "INVAL"}},
		{"allocate", func(s *script, fd any) *result { return s.call("fd_allocate", fd, 0, 10) }, [5]string{"BADF", "BADF", "BADF", "", "SPIPE"}},
		{"allocate nothing", func(s *script, fd any) *result { return s.call("fd_allocate", fd, 0, 0) }, [5]string{"BADF", "BADF", "BADF", "INVAL", "INVAL"}},
		{"size", func(s *script, fd any) *result { return s.call("fd_filestat_set_size", fd, 2) }, [5]string{"BADF", "INVAL", "INVAL", "", "INVAL"}},
		{"times", func(s *script, fd any) *result { return s.call("fd_filestat_set_times", fd, 1, 2, 5) }, [5]string{"BADF", "", "", "", ""}},
		{"times twice", func(s *script, fd any) *result { return s.call("fd_filestat_set_times", fd, 1, 2, 3) }, [5]string{"BADF", "INVAL", "INVAL", "INVAL", "INVAL"}},
		{"stat", func(s *script, fd any) *result { return s.call("fd_filestat_get", fd, buffer) }, [5]string{"BADF", "", "", "", ""}},
		{"fdstat", func(s *script, fd any) *result { return s.call("fd_fdstat_get", fd, buffer) }, [5]string{"BADF", "", "", "", ""}},
		{"flags", func(s *script, fd any) *result { return s.call("fd_fdstat_set_flags", fd, 4) }, [5]string{"BADF", "", "", "", ""}},
		{"flags nonsense", func(s *script, fd any) *result { return s.call("fd_fdstat_set_flags", fd, 32) }, [5]string{"BADF", "INVAL", "INVAL", "INVAL", "INVAL"}},
		{"fewer rights", func(s *script, fd any) *result { return s.call("fd_fdstat_set_rights", fd, 0, 0) }, [5]string{"BADF", "", "", "", ""}},
		{"more rights", func(s *script, fd any) *result { return s.call("fd_fdstat_set_rights", fd, uint64(1)<<40, 0) }, [5]string{"BADF", "NOTCAPABLE", "NOTCAPABLE", "NOTCAPABLE", "NOTCAPABLE"}},
		{"readdir", func(s *script, fd any) *result { return s.call("fd_readdir", fd, buffer, 100, 0, out) }, [5]string{"BADF", "", "NOTDIR", "NOTDIR", "NOTDIR"}},
		{"prestat", func(s *script, fd any) *result { return s.call("fd_prestat_get", fd, buffer) }, [5]string{"BADF", "BADF", "BADF", "BADF", "BADF"}},
		{"close", func(s *script, fd any) *result { return s.call("fd_close", fd) }, [5]string{"BADF", "", "", "", ""}},
		{"renumber to nothing", func(s *script, fd any) *result { return s.call("fd_renumber", fd, 50) }, [5]string{"BADF", "BADF", "BADF", "BADF", "BADF"}},
		{"renumber to itself", func(s *script, fd any) *result { return s.call("fd_renumber", fd, fd) }, [5]string{"BADF", "", "", "", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t)
			s.room(200)
			results := make([]*result, 5)
			results[0] = c.call(s, 40)
			for i, open := range []struct {
				path   string
				how    int
				rights uint64
			}{{"in", directory, allRights}, {"in/a.txt", 0, rightRead}, {"out/x", create, rightWrite}, {"dev/null", 0, rightRead | rightWrite}} {
				fd, r := s.open(open.path, open.how, open.rights, 0)
				results[i+1] = c.call(s, fd)
				defer func() { r.want(t, "") }()
			}
			s.run(f, input()...)
			for i, r := range results {
				r.want(t, c.want[i])
			}
		})
	}
}

func TestAppendAndFlags(t *testing.T) {
	s := newScript(t)
	fd, _ := s.open("out/log", create, rightRead|rightWrite, appending)
	s.write(fd, "one ")
	at := s.room(8)
	s.call("fd_seek", fd, 0, 0, at)
	s.write(fd, "two ")
	stat := s.room(24)
	s.call("fd_fdstat_get", fd, stat)
	before := s.get(stat, 24)
	s.call("fd_fdstat_set_flags", fd, 0)
	s.call("fd_seek", fd, 0, 0, at)
	s.write(fd, "ONE")
	s.call("fd_fdstat_get", fd, stat)
	after := s.get(stat, 4)
	again, r := s.open("out/log", truncate, rightWrite, 0)
	s.write(again, "new")
	text, n, _ := s.read(fd, 10)
	out := s.run(calls(t), input()...)
	r.want(t, "")
	if before.bytes[0] != 4 || before.bytes[2] != appending || after.bytes[2] != 0 {
		t.Errorf("fdstat %v, then %v", before.bytes, after.bytes)
	}
	if out["out/log"] != "new" || n.value() != 0 {
		t.Errorf("%q, read %q", out, text.bytes)
	}
}

func TestStat(t *testing.T) {
	s := newScript(t)
	file, _ := s.stat("in/a.txt")
	dir, _ := s.stat("in/sub")
	null, _ := s.stat("dev/null")
	fd, _ := s.open("in/a.txt", 0, rightRead|rightWrite, 0)
	same := s.room(64)
	s.call("fd_filestat_get", fd, same)
	again := s.get(same, 64)
	set := s.call("path_filestat_set_times", root, 0, s.bytes("in/a.txt"), 8, 123, 456, 1|4)
	times, _ := s.stat("in/a.txt")
	bad := s.call("path_filestat_set_times", root, 0, s.bytes("in/a.txt"), 8, 0, 0, 4|8)
	_, missing := s.stat("in/none")
	_, through := s.stat("in/a.txt/x")
	s.run(calls(t), input()...)
	u64 := func(r *result, at int) uint64 { return binary.LittleEndian.Uint64(r.bytes[at:]) }
	if file.bytes[16] != 4 || u64(file, 24) != 1 || u64(file, 32) != 5 || u64(file, 48) != 0 {
		t.Errorf("file %v", file.bytes)
	}
	if dir.bytes[16] != 3 || null.bytes[16] != 2 || u64(dir, 8) == u64(file, 8) {
		t.Errorf("directory %v, device %v", dir.bytes, null.bytes)
	}
	again.is(t, string(file.bytes))
	set.want(t, "")
	if u64(times, 40) != 123 || u64(times, 48) != 456 {
		t.Errorf("times %v", times.bytes[40:])
	}
	bad.want(t, "INVAL")
	missing.want(t, "NOENT")
	through.want(t, "NOTDIR")
}

func TestDirectories(t *testing.T) {
	s := newScript(t)
	want := []string{}
	var got []*result
	step := func(r *result, errno string) { got, want = append(got, r), append(want, errno) }
	step(s.path("path_create_directory", "out/d"), "")
	step(s.path("path_create_directory", "out/d"), "EXIST")
	step(s.path("path_create_directory", "out/d/e/"), "")
	step(s.path("path_create_directory", "out/no/e"), "NOENT")
	step(s.path("path_create_directory", "in/a.txt/e"), "NOTDIR")
	step(s.path("path_create_directory", "in/a.txt"), "EXIST")
	step(s.path("path_create_directory", "."), "EXIST")
	step(s.path("path_create_directory", ".."), "NOTCAPABLE")
	step(s.path("path_create_directory", "out/a\x01"), "ILSEQ")
	step(s.path("path_remove_directory", "out/d"), "NOTEMPTY")
	step(s.path("path_unlink_file", "out/d"), "ISDIR")
	step(s.path("path_remove_directory", "in/a.txt"), "NOTDIR")
	step(s.path("path_remove_directory", "in/none"), "NOENT")
	step(s.path("path_remove_directory", "out"), "BUSY")
	step(s.path("path_remove_directory", "out/d/e/."), "INVAL")
	step(s.path("path_remove_directory", "out/d/e"), "")
	step(s.path("path_remove_directory", "out/d/"), "")
	step(s.path("path_remove_directory", "out/d"), "NOENT")
	step(s.path("path_unlink_file", "in/a.txt/"), "NOTDIR")
	step(s.path("path_unlink_file", "in/a.txt"), "")
	step(s.path("path_unlink_file", "in/a.txt"), "NOENT")
	step(s.path("path_unlink_file", "dev/null"), "BUSY")
	s.run(calls(t), input()...)
	for i, r := range got {
		r.want(t, want[i])
	}
}

// An open file that is removed lives on, and a removed directory takes nothing.
func TestRemovedWhileOpen(t *testing.T) {
	s := newScript(t)
	fd, _ := s.open("in/a.txt", 0, rightRead|rightWrite, 0)
	s.path("path_create_directory", "out/d")
	dir, _ := s.open("out/d", directory, rightRead, 0)
	s.path("path_unlink_file", "in/a.txt")
	s.path("path_remove_directory", "out/d")
	s.write(fd, "J")
	at := s.room(8)
	s.call("fd_seek", fd, 0, 0, at)
	text, _, _ := s.read(fd, 5)
	stat := s.room(64)
	s.call("fd_filestat_get", fd, stat)
	links := s.get(stat+24, 8)
	_, gone := s.openAt(dir, "x", create, rightWrite, 0)
	list, used, _ := s.entries(dir, 200, 0)
	closed := s.call("fd_close", fd)
	s.run(calls(t), input()...)
	text.is(t, "Jello")
	gone.want(t, "NOENT")
	closed.want(t, "")
	if links.value() != 0 {
		t.Errorf("%d links", links.value())
	}
	if l, _ := dirents(list.bytes[:used.value()]); names(l) != ". .." {
		t.Errorf("entries %v", l)
	}
}

func TestRename(t *testing.T) {
	s := newScript(t)
	var got []*result
	var want []string
	rename := func(from, to, errno string) {
		r := s.call("path_rename", root, s.bytes(from), len(from), root, s.bytes(to), len(to))
		r.what += " " + from + " " + to
		got, want = append(got, r), append(want, errno)
	}
	s.path("path_create_directory", "out/d")
	s.path("path_create_directory", "out/d/e")
	s.path("path_create_directory", "out/empty")
	rename("in/a.txt", "out/d/a", "")
	rename("in/a.txt", "out/d/b", "NOENT")
	rename("out/d/a", "out/no/b", "NOENT")
	rename("out/d/a", "out/d/a", "")
	rename("out/d/a", "out/empty", "ISDIR")
	rename("out/empty", "out/d/a", "NOTDIR")
	rename("out/empty", "out/d", "NOTEMPTY")
	rename("out/d", "out/d/e/f", "INVAL")
	rename("out/d", "out/empty", "")
	rename("out/empty/e", "out/e2/", "")
	rename("in/empty", "out/e3/", "NOTDIR")
	rename("in/empty", "out/empty/a", "")
	rename("in/sub", "out/sub", "")
	rename("out", "out2", "BUSY")
	rename("in/none", "out", "NOENT")
	rename("out/sub", "out/\xff", "ILSEQ")
	rename("out/sub", "../x", "NOTCAPABLE")
	out := s.run(calls(t), input()...)
	for i, r := range got {
		r.want(t, want[i])
	}
	if want := (outputs{"out/empty/a": "", "out/sub/deep/b.txt": "deep"}); !maps.Equal(out, want) {
		t.Errorf("outputs %v", out)
	}
}

func TestLinks(t *testing.T) {
	s := newScript(t)
	link := func(from, to string) *result {
		return s.call("path_link", root, 0, s.bytes(from), len(from), root, s.bytes(to), len(to))
	}
	got := []*result{
		link("in/a.txt", "out/b"), link("in/none", "out/b"), link("in/a.txt", "in/empty"),
		s.call("path_symlink", s.bytes("x"), 1, root, s.bytes("out/l"), 5), s.call("path_symlink", s.bytes("x"), 1, root, s.bytes("in/empty"), 8),
		s.path("path_readlink", "in/a.txt", s.room(8), 8, s.room(4)), s.path("path_readlink", "in/none", s.room(8), 8, s.room(4)),
	}
	s.run(calls(t), input()...)
	for i, want := range []string{"NOTSUP", "NOENT", "EXIST", "NOTSUP", "EXIST", "INVAL", "NOENT"} {
		got[i].want(t, want)
	}
}

func TestReadDirectory(t *testing.T) {
	s := newScript(t)
	in, _ := s.open("in", directory, rightRead, 0)
	all, used, _ := s.entries(in, 500, 0)
	none, noneUsed, r := s.entries(in, 0, 0)
	// Through a buffer with room for one entry and a half, from each entry's cookie.
	tight := 24 + len("a.txt") + 10
	var cuts []*result
	for _, cookie := range []uint64{0, 1, 2, 3, 4, 5, 6} {
		b, n, _ := s.entries(in, tight, cookie)
		cuts = append(cuts, b, n)
	}
	// What is removed or added while it is read moves nothing.
	s.path("path_unlink_file", "in/a.txt")
	_, made := s.open("in/new", create, rightWrite, 0)
	rest, restUsed, _ := s.entries(in, 500, 3)
	rootFD, _ := s.open(".", directory, rightRead, 0)
	top, topUsed, _ := s.entries(rootFD, 500, 0)
	s.run(calls(t), input()...)

	list, cut := dirents(all.bytes[:used.value()])
	if names(list) != ". .. a.txt sub empty" || cut {
		t.Fatalf("entries %v", list)
	}
	for i, d := range list {
		if d.next != uint64(i+1) || d.inode == 0 {
			t.Errorf("entry %d: %+v", i, d)
		}
	}
	if list[2].kind != 4 || list[3].kind != 3 {
		t.Errorf("kinds %v", list)
	}
	r.want(t, "")
	if noneUsed.value() != 0 || len(none.bytes) != 0 {
		t.Errorf("%d of nothing", noneUsed.value())
	}
	for i := 0; i < len(cuts); i += 2 {
		from := i / 2
		got, cut := dirents(cuts[i].bytes[:cuts[i+1].value()])
		if from >= len(list) {
			if len(got) != 0 || cut {
				t.Errorf("behind the end: %v", got)
			}
			continue
		}
		if len(got) == 0 || got[0] != list[from] {
			t.Errorf("from cookie %d: %v", from, got)
		}
		if full := cuts[i+1].value() == uint64(tight); full == (from+len(got) == len(list)) && !cut {
			t.Errorf("from cookie %d: %d bytes used, %v", from, cuts[i+1].value(), got)
		}
	}
	made.want(t, "")
	if list, _ := dirents(rest.bytes[:restUsed.value()]); names(list) != "sub empty new" {
		t.Errorf("the rest is %v", list)
	}
	if list, _ := dirents(top.bytes[:topUsed.value()]); names(list) != ". .. dev tmp script stdio in out results" {
		t.Errorf("the root has %v", list)
	}
}

func TestDescriptors(t *testing.T) {
	s := newScript(t)
	a, _ := s.open("in/a.txt", 0, rightRead, 0)
	b, _ := s.open("in/empty", 0, rightRead, 0)
	renumber := s.call("fd_renumber", a, b)
	closed := s.call("fd_close", a)
	text, _, _ := s.read(b, 5)
	// The lowest that is free is taken.
	c, _ := s.open("in/a.txt", 0, rightRead, 0)
	number := s.get(pointer(c), 4)
	first := s.get(pointer(a), 4)
	// As many as there can be, and one more.
	var last, most *result
	for range 100 {
		_, last = s.open("in/a.txt", 0, rightRead, 0)
	}
	for range 4096 {
		_, most = s.open(".", 0, 0, 0)
		if s.next > 1<<19 {
			s.next = 1 << 16
		}
	}
	s.run(calls(t), input()...)
	renumber.want(t, "")
	closed.want(t, "BADF")
	text.is(t, "hello")
	last.want(t, "")
	most.want(t, "MFILE")
	if number.value() != first.value() || first.value() != 4 {
		t.Errorf("descriptors %d, then %d", first.value(), number.value())
	}
}

func TestStandard(t *testing.T) {
	s := newScript(t)
	text, n, _ := s.read(0, 100)
	_, outR := s.write(1, "to stdout\n")
	_, errR := s.write(2, "to stderr\n")
	_, in := s.write(0, "x")
	_, _, fromOut := s.read(1, 5)
	pre, name := s.room(8), s.room(4)
	prestat := s.call("fd_prestat_get", 3, pre)
	prestatIs := s.get(pre, 8)
	dir := s.call("fd_prestat_dir_name", 3, name, 1)
	short := s.call("fd_prestat_dir_name", 3, name, 0)
	nameIs := s.get(name, 1)
	next := s.call("fd_prestat_get", 4, pre)
	file, _ := s.open("stdio/stdin", 0, rightRead, 0)
	fromFile, _, _ := s.read(file, 8)
	out := s.run(calls(t), input()...)
	text.is(t, "line one\nline two\n"+strings.Repeat("\x00", 82))
	if n.value() != 18 {
		t.Errorf("read %d", n.value())
	}
	for _, r := range []*result{outR, errR, prestat, dir} {
		r.want(t, "")
	}
	in.want(t, "BADF")
	fromOut.want(t, "BADF")
	short.want(t, "NAMETOOLONG")
	next.want(t, "BADF")
	prestatIs.is(t, "\x00\x00\x00\x00\x01\x00\x00\x00")
	nameIs.is(t, "/")
	fromFile.is(t, "line one")
	if want := (outputs{"stdio/stdout": "to stdout\n", "stdio/stderr": "to stderr\n"}); !maps.Equal(out, want) {
		t.Errorf("outputs %q", out)
	}
}

func TestArguments(t *testing.T) {
	f := calls(t)
	for _, c := range []struct {
		in            []data.Set
		args, environ []string
	}{
		{input(), []string{"prog", "a b", "cd ef", "", "it's"}, []string{"A=1", "B=two words", "C="}},
		{nil, []string{"function"}, nil},
		{[]data.Set{set("stdio", "argv", "", "environ", " \n")}, nil, nil},
		{[]data.Set{set("stdio", "argv", `x "never closed  `)}, []string{"x", "never closed  "}, nil},
		{[]data.Set{set("stdio", "argv", "a\x00b \"c\x00d\" é", "argv", "second")}, []string{"a", "b", "cd", "é"}, nil},
	} {
		for _, of := range []struct {
			name string
			want []string
		}{{"args", c.args}, {"environ", c.environ}} {
			s := newScript(t)
			count, size, starts, text := s.room(4), s.room(4), s.room(100), s.room(200)
			sizes := s.call(of.name+"_sizes_get", count, size)
			get := s.call(of.name+"_get", starts, text)
			n, bytes, at, all := s.get(count, 4), s.get(size, 4), s.get(starts, 100), s.get(text, 200)
			s.run(f, c.in...)
			sizes.want(t, "")
			get.want(t, "")
			want := ""
			for i, w := range of.want {
				begin := binary.LittleEndian.Uint32(at.bytes[4*i:]) - binary.LittleEndian.Uint32(at.bytes)
				if int(begin) != len(want) {
					t.Errorf("%s %d begins at %d", of.name, i, begin)
				}
				want += w + "\x00"
			}
			if int(n.value()) != len(of.want) || int(bytes.value()) != len(want) || string(all.bytes[:len(want)]) != want {
				t.Errorf("%s: %d in %d bytes: %q", of.name, n.value(), bytes.value(), all.bytes)
			}
		}
	}
}

func TestClocks(t *testing.T) {
	s := newScript(t)
	at := s.room(8)
	var readings []*result
	now := func() {
		s.call("clock_time_get", len(readings)%4, 0, at)
		readings = append(readings, s.get(at, 8))
	}
	now()
	now()
	res := s.call("clock_res_get", 1, at)
	resIs := s.get(at, 8)
	bad, badRes := s.call("clock_time_get", 4, 0, at), s.call("clock_res_get", 4, at)
	// Two clocks, the nearer of which is what is waited for.
	sub := func(userdata uint64, clock uint32, timeout uint64, flags uint16) string {
		b := binary.LittleEndian.AppendUint64(nil, userdata)
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, clock)
		b = append(b, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint64(b, timeout)
		b = binary.LittleEndian.AppendUint64(b, 0)
		b = binary.LittleEndian.AppendUint16(b, flags)
		return string(append(b, make([]byte, 6)...))
	}
	fdSub := func(userdata uint64, kind byte, fd uint32) string {
		b := binary.LittleEndian.AppendUint64(nil, userdata)
		b = append(b, kind, 0, 0, 0, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, fd)
		return string(append(b, make([]byte, 28)...))
	}
	events, n := s.room(32*4), s.room(4)
	poll := s.call("poll_oneoff", s.bytes(sub(7, 1, 3e9, 0)+sub(8, 0, 1e9, 0)), events, 2, n)
	pollN, polled := s.get(n, 4), s.get(events, 32)
	now()
	absolute := s.call("poll_oneoff", s.bytes(sub(9, 1, 5e9, 1)), events, 1, n)
	now()
	past := s.call("poll_oneoff", s.bytes(sub(9, 1, 1, 1)), events, 1, n)
	pastN := s.get(n, 4)
	now()
	// A file is ready at once, and the clock is not.
	mixed := s.call("poll_oneoff", s.bytes(sub(1, 1, 1e9, 0)+fdSub(2, 1, 0)+fdSub(3, 2, 1)+fdSub(4, 1, 99)), events, 4, n)
	mixedN, ready := s.get(n, 4), s.get(events, 96)
	now()
	nothing := s.call("poll_oneoff", s.bytes(""), events, 0, n)
	yield := s.call("sched_yield")
	s.run(calls(t), input()...)

	const tick = 1000
	want := []uint64{0, tick, 2*tick + 1e9, 5e9, 5e9 + tick, 5e9 + 2*tick}
	for i, r := range readings {
		if r.value() != want[i] {
			t.Errorf("reading %d is %d, want %d", i, r.value(), want[i])
		}
	}
	for _, r := range []*result{res, poll, absolute, past, mixed, yield} {
		r.want(t, "")
	}
	for _, r := range []*result{bad, badRes, nothing} {
		r.want(t, "INVAL")
	}
	if resIs.value() != tick || pollN.value() != 1 || polled.value() != 8 || pastN.value() != 1 || mixedN.value() != 3 {
		t.Errorf("resolution %d, %d events, the first of %d; %d; %d", resIs.value(), pollN.value(), polled.value(), pastN.value(), mixedN.value())
	}
	event := func(i int) string {
		b := ready.bytes[32*i:]
		return fmt.Sprint(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint16(b[8:]), b[10], binary.LittleEndian.Uint64(b[16:]))
	}
	if got := []string{event(0), event(1), event(2)}; !slices.Equal(got, []string{"2 0 1 18", "3 0 2 65536", "4 8 1 0"}) {
		t.Errorf("events %q", got)
	}
}

func TestRandomIsFixed(t *testing.T) {
	f := calls(t)
	draw := func(sizes ...int) string {
		s := newScript(t)
		p := s.room(64)
		for _, n := range sizes {
			s.call("random_get", p, n)
			p += pointer(n)
		}
		all := s.get(16, 64)
		s.run(f)
		return string(all.bytes)
	}
	one := draw(64)
	if again := draw(64); again != one {
		t.Error("two runs differ")
	}
	if strings.Count(one, "\x00") > 5 {
		t.Errorf("not random: %x", one)
	}
	if other := draw(8, 8); other[:16] != one[:16] || other[16:] != strings.Repeat("\x00", 48) {
		t.Errorf("in pieces: %x, %x", one, other)
	}
}

func TestNotThere(t *testing.T) {
	s := newScript(t)
	p := s.room(64)
	got := []*result{
		s.call("proc_raise", 9), s.call("sock_accept", 3, 0, p), s.call("sock_recv", 3, p, 0, 0, p, p), s.call("sock_send", 3, p, 0, 0, p), s.call("sock_shutdown", 3, 0),
	}
	s.run(calls(t))
	for _, r := range got {
		r.want(t, "NOSYS")
	}
}

func TestExitCodes(t *testing.T) {
	f := calls(t)
	for code, want := range map[int]int32{0: 0, 1: 1, 7: 7, 255: 255, 256: 255, 257: 1, 259: 3, -1: 255, -256: 255, 1 << 20: 255} {
		for _, call := range []string{"proc_exit", "exit"} {
			s := newScript(t)
			s.write(1, "before")
			s.write(2, "said")
			s.call(call, uint32(code))
			s.write(1, "after")
			out, err := f.run(s.item())
			var fault *engine.Fault
			if want == 0 {
				if err != nil || out["stdio/stdout"] != "before" {
					t.Errorf("%s(%d): %v %v", call, code, out, err)
				}
				continue
			}
			if !asFault(err, &fault) || fault.Kind != engine.FaultExit || fault.ExitCode != want || string(fault.Stderr) != "said" {
				t.Errorf("%s(%d): %+v, want %d", call, code, err, want)
			}
		}
	}
}

// A trap ends the function without another word, and still what it said is told.
func TestTrapTellsStderr(t *testing.T) {
	s := newScript(t)
	s.write(2, "about to ")
	s.write(2, "fail")
	s.code = append(s.code, 'C', 57, 0)
	_, err := calls(t).run(s.item())
	var fault *engine.Fault
	if !asFault(err, &fault) || fault.Kind != engine.FaultTrap || string(fault.Stderr) != "about to fail" {
		t.Fatalf("%+v", err)
	}
	if stack := strings.Join(fault.Stack, "\n"); !strings.Contains(stack, "_start()") || !strings.Contains(stack, "pappus.start") {
		t.Errorf("stack %s", stack)
	}
}
