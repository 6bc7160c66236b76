package blobio

import (
	"errors"
	"io"
	"testing"
)

// What is put lies in a run's memory, which is others' once the call has ended.
func TestInputsAreNotReadLater(t *testing.T) {
	f := newFence([]byte("content"))
	w := newWatch(DefaultLimits(), func() {})
	defer w.stop()
	r := &fenced{fence: f, watch: w}
	if got, err := io.ReadAll(r); err != nil || string(got) != "content" {
		t.Fatalf("%q, %v", got, err)
	}
	if at, err := r.Seek(-4, io.SeekEnd); err != nil || at != 3 {
		t.Fatal(at, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "tent" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("it seeks before the beginning")
	}
	f.fall()
	if at, err := r.Seek(0, io.SeekStart); err != nil || at != 0 {
		t.Fatal(at, err)
	}
	if n, err := r.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errGone) {
		t.Errorf("%d bytes after the end, %v", n, err)
	}
}
