package main_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// largeServer takes whatever it is sent, and answers with a large item in the
// form that is wanted: two of them, if that is multipart. Before an answer ends
// it looks at what the client's process took until then: the system counts in
// what a process is said to have taken at its end what its parent had.
func largeServer(large int64, client, received, taken *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() { taken.Store(mostMemory(client.Load())) }()
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		received.Store(n)
		if r.Method == http.MethodPut {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"name": "f", "version": 1, "digest": "sha256:0", "inputs": [], "outputs": [], "limits": {}}`)
			return
		}
		content := func() io.Reader { return io.LimitReader(devZero{}, large) }
		switch accept := r.Header.Get("Accept"); {
		case accept == "application/json":
			w.Header().Set("Content-Type", accept)
			_, _ = io.WriteString(w, `{"outputs":{"a":[{"name":"x","key":0,"data":"`)
			enc := base64.NewEncoder(base64.StdEncoding, w)
			_, _ = io.Copy(enc, content())
			_ = enc.Close()
			_, _ = io.WriteString(w, `"}]}}`+"\n")
		case accept == "multipart/mixed", r.URL.Path == "/v1/invoke/two":
			parts := multipart.NewWriter(w)
			w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
			for _, name := range []string{"x", "y"} {
				part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`attachment; name="a"; filename="` + name + `"`}})
				if err != nil {
					return
				}
				_, _ = io.Copy(part, content())
			}
			_ = parts.Close()
		default:
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = io.Copy(w, content())
		}
	}
}

// mostMemory is the most memory that a process has had so far, in bytes.
func mostMemory(process int64) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", process)) // without it there is no number below
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return math.MaxInt64
	}
	return kib << 10
}

type devZero struct{}

func (devZero) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// counted counts what is written.
type counted int64

func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

// Large items pass through the command line in either direction without being
// held.
func TestLargeItemsPass(t *testing.T) {
	large, most := int64(256<<20), int64(96<<20) // bytes: of an item, and of memory
	if len(raceFlag()) > 0 {
		large, most = 16<<20, math.MaxInt64 // everything takes longer and more
	}
	var client, received, taken atomic.Int64
	server := httptest.NewServer(largeServer(large, &client, &received, &taken))
	defer server.Close()
	dir := t.TempDir()
	file, out := filepath.Join(dir, "large"), filepath.Join(dir, "out")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, large); err != nil { // a hole, which takes no room
		t.Fatal(err)
	}
	for _, c := range []struct {
		args          []string
		sent, printed int64 // at least; 0: any
	}{
		{[]string{"invoke", "one", "--raw", file}, large, large},
		{[]string{"invoke", "one", "--in", "a=" + file}, large, large},
		{[]string{"invoke", "two", "--raw", "text:x"}, 1, 2 * large},
		{[]string{"invoke", "one", "--raw", "text:x", "--json"}, 1, large / 3 * 4},
		{[]string{"invoke", "one", "--raw", "text:x", "--out", out}, 1, 0},
		{[]string{"push", file, "--name", "f"}, large, 0},
	} {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, c.args...)
		cmd.Env = append(os.Environ(), "PAPPUS_SERVER="+server.URL)
		var printed counted
		var stderr output
		cmd.Stdout, cmd.Stderr = &printed, &stderr
		taken.Store(math.MaxInt64)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		client.Store(int64(cmd.Process.Pid))
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v, %s", c.args, err, stderr.String())
			continue
		}
		if n := taken.Load(); n > most {
			t.Errorf("%q took %d MiB", c.args, n>>20)
		}
		if received.Load() < c.sent || int64(printed) < c.printed {
			t.Errorf("%q sent %d bytes and printed %d", c.args, received.Load(), printed)
		}
	}
	for _, name := range []string{"a/x", "a/y"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() != large {
			t.Error(fmt.Sprint(name, " is not whole: "), err)
		}
	}
}
