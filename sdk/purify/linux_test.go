//go:build linux

package purify_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// linuxErrnos are the kernel's by the names of errnos.
var linuxErrnos = map[unix.Errno]string{
	unix.EBADF: "BADF", unix.EBUSY: "BUSY", unix.EEXIST: "EXIST", unix.EINVAL: "INVAL", unix.EISDIR: "ISDIR", unix.ENAMETOOLONG: "NAMETOOLONG",
	unix.ENOENT: "NOENT", unix.ENOTDIR: "NOTDIR", unix.ENOTEMPTY: "NOTEMPTY", unix.ESPIPE: "SPIPE", unix.EFBIG: "FBIG", unix.EOVERFLOW: "OVERFLOW",
}

// both makes calls to the kernel, below a folder, and writes the script that
// makes the same to the libc layer.
type both struct {
	t      *rapid.T
	script *script
	dir    int    // descriptor of the folder
	mine   loaded // and of /out
	files  []openFile
	checks []func()
}

type openFile struct {
	fd   int
	mine loaded
	dir  bool
}

// same expects of a call what the kernel said.
func (b *both) same(r *result, err error) {
	want := ""
	var errno unix.Errno
	if errors.As(err, &errno) {
		want = linuxErrnos[errno]
		if want == "" {
			want = errno.Error()
		}
	}
	b.checks = append(b.checks, func() {
		if got := errnoText(r.value()); got != want {
			b.t.Errorf("%s: %q, and the kernel says %q", r.what, got, want)
		}
	})
}

func (b *both) sameBytes(r *result, n *result, want []byte) {
	b.checks = append(b.checks, func() {
		if int(n.value()) != len(want) || string(r.bytes[:len(want)]) != string(want) {
			b.t.Errorf("%d bytes %q, and the kernel has %d: %q", n.value(), r.bytes, len(want), want)
		}
	})
}

var somePath = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a", "b", "b", "c", ".", "a/..", ""}), 1, 3).Draw(t, "path")
	p := strings.TrimLeft(strings.Join(parts, "/"), "/")
	if p == "" {
		return "a"
	}
	return p
})

func (b *both) path(call string, f func(path string) error) {
	path := somePath.Draw(b.t, "path")
	err := f(path)
	r := b.script.call(call, b.mine, b.script.bytes(path), len(path))
	r.what += " " + path
	b.same(r, err)
}

func (b *both) open() {
	path := somePath.Draw(b.t, "path")
	flags, how, rights, mine := unix.O_RDONLY, 0, uint64(rightRead), 0
	switch rapid.IntRange(0, 2).Draw(b.t, "mode") {
	case 1:
		flags, rights = unix.O_WRONLY, rightWrite
	case 2:
		flags, rights = unix.O_RDWR, rightRead|rightWrite
	}
	for _, f := range []struct{ flag, how int }{{unix.O_CREAT, create}, {unix.O_EXCL, exclusive}, {unix.O_TRUNC, truncate}, {unix.O_DIRECTORY, directory}} {
		if rapid.IntRange(0, 2).Draw(b.t, "flag") == 0 {
			flags, how = flags|f.flag, how|f.how
		}
	}
	if how&create != 0 && how&directory != 0 || how&exclusive != 0 && how&create == 0 {
		return // what comes of it depends on the kernel's version, or is undefined
	}
	if how&truncate != 0 && rights == rightRead {
		return // is undefined
	}
	if how&directory != 0 && rights != rightRead {
		return // programs ask for all rights to directories
	}
	if rapid.Bool().Draw(b.t, "append") {
		flags, mine = flags|unix.O_APPEND, appending
	}
	fd, err := unix.Openat(b.dir, path, flags|unix.O_CLOEXEC, 0o666)
	slot, r := b.script.openAt(b.mine, path, how, rights, mine)
	b.same(r, err)
	if err != nil {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		b.t.Fatal(err)
	}
	b.files = append(b.files, openFile{fd, slot, st.Mode&unix.S_IFMT == unix.S_IFDIR})
}

func (b *both) rename() {
	from, to := somePath.Draw(b.t, "from"), somePath.Draw(b.t, "to")
	err := unix.Renameat(b.dir, from, b.dir, to)
	r := b.script.call("path_rename", b.mine, b.script.bytes(from), len(from), b.mine, b.script.bytes(to), len(to))
	r.what += " " + from + " " + to
	b.same(r, err)
}

func (b *both) stat() {
	path := somePath.Draw(b.t, "path")
	var st unix.Stat_t
	err := unix.Fstatat(b.dir, path, &st, 0)
	out := b.script.room(64)
	r := b.script.call("path_filestat_get", b.mine, 1, b.script.bytes(path), len(path), out)
	r.what += " " + path
	b.same(r, err)
	got := b.script.get(out, 64)
	if err == nil {
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		b.checks = append(b.checks, func() {
			if (got.bytes[16] == 3) != isDir || !isDir && binary.LittleEndian.Uint64(got.bytes[32:]) != uint64(st.Size) {
				b.t.Errorf("stat %s: %v, and the kernel has %d bytes, directory %t", path, got.bytes, st.Size, isDir)
			}
		})
	}
}

// file is an open one that is no directory, if there is one.
func (b *both) file() (openFile, bool) {
	var open []openFile
	for _, f := range b.files {
		if !f.dir {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		return openFile{}, false
	}
	return rapid.SampledFrom(open).Draw(b.t, "file"), true
}

func (b *both) write() {
	f, ok := b.file()
	if !ok {
		return
	}
	text := rapid.StringMatching(`[a-z]{0,20}`).Draw(b.t, "text")
	at := rapid.IntRange(-1, 50).Draw(b.t, "at")
	var n int
	var err error
	var r *result
	out := b.script.room(4)
	iov := b.script.pieces(piece{b.script.bytes(text), len(text)})
	if at < 0 {
		n, err = unix.Write(f.fd, []byte(text))
		r = b.script.call("fd_write", f.mine, iov, 1, out)
	} else {
		n, err = unix.Pwrite(f.fd, []byte(text), int64(at))
		r = b.script.call("fd_pwrite", f.mine, iov, 1, at, out)
	}
	b.same(r, err)
	if got := b.script.get(out, 4); err == nil {
		b.checks = append(b.checks, func() {
			if int(got.value()) != n {
				b.t.Errorf("%s %d bytes, and the kernel %d", r.what, got.value(), n)
			}
		})
	}
}

func (b *both) read() {
	f, ok := b.file()
	if !ok {
		return
	}
	size := rapid.IntRange(0, 40).Draw(b.t, "size")
	at := rapid.IntRange(-1, 50).Draw(b.t, "at")
	buffer := make([]byte, size)
	var n int
	var err error
	var r *result
	to, out := b.script.room(40), b.script.room(4)
	iov := b.script.pieces(piece{to, size})
	if at < 0 {
		n, err = unix.Read(f.fd, buffer)
		r = b.script.call("fd_read", f.mine, iov, 1, out)
	} else {
		n, err = unix.Pread(f.fd, buffer, int64(at))
		r = b.script.call("fd_pread", f.mine, iov, 1, at, out)
	}
	b.same(r, err)
	if err == nil {
		b.sameBytes(b.script.get(to, size), b.script.get(out, 4), buffer[:n])
	}
}

func (b *both) seek() {
	f, ok := b.file()
	if !ok {
		return
	}
	offset := rapid.IntRange(-30, 60).Draw(b.t, "offset")
	whence := rapid.IntRange(0, 2).Draw(b.t, "whence")
	at, err := unix.Seek(f.fd, int64(offset), whence)
	out := b.script.room(8)
	b.same(b.script.call("fd_seek", f.mine, offset, whence, out), err)
	if got := b.script.get(out, 8); err == nil {
		b.checks = append(b.checks, func() {
			if int64(got.value()) != at {
				b.t.Errorf("at %d, and the kernel at %d", got.value(), at)
			}
		})
	}
}

func (b *both) truncate() {
	f, ok := b.file()
	if !ok {
		return
	}
	size := rapid.IntRange(0, 80).Draw(b.t, "size")
	err := unix.Ftruncate(f.fd, int64(size))
	b.same(b.script.call("fd_filestat_set_size", f.mine, size), err)
}

func (b *both) close() {
	if len(b.files) == 0 {
		return
	}
	i := rapid.IntRange(0, len(b.files)-1).Draw(b.t, "file")
	b.same(b.script.call("fd_close", b.files[i].mine), unix.Close(b.files[i].fd))
	b.files = slices.Delete(b.files, i, i+1)
}

// list compares the names in an open directory.
func (b *both) list() {
	for _, f := range b.files {
		if !f.dir {
			continue
		}
		var all []string
		buffer := make([]byte, 8192)
		if _, err := unix.Seek(f.fd, 0, 0); err != nil {
			b.t.Fatal(err)
		}
		for {
			n, err := unix.ReadDirent(f.fd, buffer)
			if err != nil && !errors.Is(err, unix.ENOENT) { // it was removed
				b.t.Fatal(err)
			}
			if n <= 0 {
				break
			}
			_, _, all = unix.ParseDirent(buffer[:n], -1, all)
		}
		slices.Sort(all)
		got, n, _ := b.script.entries(f.mine, 1000, 2)
		b.checks = append(b.checks, func() {
			list, _ := dirents(got.bytes[:n.value()])
			mine := strings.Fields(names(list))
			slices.Sort(mine)
			if !slices.Equal(mine, all) {
				b.t.Errorf("entries %q, and the kernel has %q", mine, all)
			}
		})
		return
	}
}

// TestAsLinux makes random calls, and expects of each what Linux does in a
// folder of its own.
func TestAsLinux(t *testing.T) {
	f := calls(t)
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "pappus")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		// Where .. leads out of /out differs: the paths stay below it.
		dir, err := unix.Open(folder, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(dir) }()
		b := &both{t: t, script: newScript(f.t), dir: dir}
		b.mine, _ = b.script.open("out", directory, allRights, 0)
		defer func() {
			for _, o := range b.files {
				_ = unix.Close(o.fd)
			}
		}()
		steps := []func(){
			b.open, b.open, b.open, b.rename, b.stat, b.write, b.write, b.read, b.seek, b.truncate, b.close, b.list,
			func() { b.path("path_create_directory", func(p string) error { return unix.Mkdirat(dir, p, 0o777) }) },
			func() {
				b.path("path_remove_directory", func(p string) error { return unix.Unlinkat(dir, p, unix.AT_REMOVEDIR) })
			},
			func() { b.path("path_unlink_file", func(p string) error { return unix.Unlinkat(dir, p, 0) }) },
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			rapid.SampledFrom(steps).Draw(t, "step")()
		}
		out := b.script.run(f)
		for _, check := range b.checks {
			check()
		}
		want := outputs{}
		err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			want["out"+strings.TrimPrefix(path, folder)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(out, want) {
			t.Errorf("files %q, and the kernel has %q", out, want)
		}
	})
}
