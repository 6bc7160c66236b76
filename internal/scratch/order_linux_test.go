package scratch

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A process that is killed while it removes its folder leaves one that is swept:
// the lock is what goes last.
func TestTheLockGoesLast(t *testing.T) {
	d, err := New(t.TempDir(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	const files = 100
	for i := range files {
		if err := os.WriteFile(filepath.Join(d.Path, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(watch) }() // it was only read
	if _, err := syscall.InotifyAddWatch(watch, d.Path, syscall.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	var order []string
	for events := make([]byte, 64<<10); len(order) < files+1; {
		n, err := syscall.Read(watch, events)
		if err != nil {
			t.Fatal(err)
		}
		for rest := events[:n]; len(rest) >= syscall.SizeofInotifyEvent; {
			// The watch, what happened, a cookie and the length of the name, each of 32 bits.
			end := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			if binary.NativeEndian.Uint32(rest[4:])&syscall.IN_DELETE != 0 {
				order = append(order, string(bytes.TrimRight(rest[syscall.SizeofInotifyEvent:end], "\x00")))
			}
			rest = rest[end:]
		}
	}
	if last := order[files]; last != lockFile {
		t.Errorf("the lock goes before %s", last)
	}
}
