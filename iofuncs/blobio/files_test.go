package blobio_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pappus/iofuncs/blobio"
)

// A folder that is not where it was is a fault of all that is done with it, until it is
// there again.
func TestFolderIsGone(t *testing.T) {
	for name, gone := range map[string]func(dir string) error{
		"moved": func(dir string) error { return os.Rename(dir, dir+".away") }, "removed": os.RemoveAll,
		"replaced": func(dir string) error { return errors.Join(os.Rename(dir, dir+".away"), os.Mkdir(dir, 0o700)) },
	} {
		dir := filepath.Join(t.TempDir(), "blobs")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		c := client(t, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())
		mustPut(t, c, "b/a", "content")
		if err := gone(dir); err != nil {
			t.Fatal(err)
		}
		const want = "the bucket's folder was moved or removed"
		for _, key := range []string{"a", "d/new", "new"} {
			_, err := put(t, c, one("r", "b/"+key), one("c", "changed"))
			fails(t, name+": put", err, want)
			_, err = get(t, c, item("r", 0, "b/"+key+"\nMissing: skip"))
			fails(t, name+": get", err, want)
		}
		_, err := put(t, c, one("r", "b/new\nIf-None-Match: *"), one("c", "x"))
		fails(t, name+": put with a condition", err, want)
		_, err = list(t, c, "b/")
		fails(t, name+": list", err, want)
		if name == "moved" {
			if _, err := os.Stat(dir); err == nil {
				t.Error("there is a folder again")
			}
			if err := os.Rename(dir+".away", dir); err != nil {
				t.Fatal(err)
			}
			got, err := get(t, c, item("r", 0, "b/a"))
			same(t, "put back", got, err, "r/0 content")
		}
	}
}

// Links, pipes and what other programs leave do not lead out of a bucket's folder.
func TestFilesStayInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		outside + "/secret": "secret", outside + "/d/secret": "secret", dir + "/in/file": "inside",
		dir + "/x.attrs": "attributes", dir + "/x.0123456789abcdef.tmp": "half", dir + "/x": "whole", dir + "/bad\nname": "x",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"file": outside + "/secret", "folder": outside + "/d", "up": "../" + filepath.Base(outside), "within": "in"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	c := client(t, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())

	for key, want := range map[string]string{
		"file": "leads out of", "folder/secret": "leads out of", "up/secret": "leads out of", "pipe": "neither a file nor a folder", "x/y": "no such blob",
	} {
		_, err := get(t, c, item("r", 0, "b/"+key))
		fails(t, "get "+key, err, want)
		if err != nil && (strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), outside)) {
			t.Errorf("it tells where: %v", err)
		}
	}
	for key, want := range map[string]string{
		"file": "leads out of", "folder/new": "leads out of", "up/new": "leads out of", "pipe": "neither", "x/y": "is a blob itself", "in": "a slash after it",
		strings.Repeat("n", 256): "255 in most file systems",
	} {
		_, err := put(t, c, one("r", "b/"+key), one("c", "changed"))
		fails(t, "put "+key, err, want)
		if err != nil && strings.Contains(err.Error(), dir) {
			t.Errorf("it tells where: %v", err)
		}
	}
	for _, prefix := range []string{"folder/", "up/"} {
		_, err := list(t, c, "b/"+prefix)
		fails(t, "list "+prefix, err, "leads out of")
	}
	for path, want := range map[string]string{outside + "/secret": "secret", outside + "/d/secret": "secret"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	refs, err := list(t, c, "b/")
	var names []string
	for _, r := range refs {
		names = append(names, r.Name())
	}
	if err != nil || strings.Join(names, " ") != "in/file x" {
		t.Errorf("%q, %v", names, err)
	}
	got, err := get(t, c, item("r", 0, "b/within/file"))
	same(t, "a link inside", got, err, "r/0 inside")
}

// killedBucket names the folder in which a process of this test puts blobs until it is
// killed.
const killedBucket = "PAPPUS_TEST_BLOB_FOLDER"

// A server that is killed while it puts a blob leaves the one before or the new one.
func TestKilledPuts(t *testing.T) {
	if dir := os.Getenv(killedBucket); dir != "" {
		c := client(t, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())
		for i := 0; ; i++ {
			mustPut(t, c, "b/d/blob", strings.Repeat(string(rune('a'+i%26)), 3<<20))
			fmt.Println("put", i)
		}
	}
	rounds := 3
	if text := os.Getenv("PAPPUS_KILL_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	var left []string
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledPuts$")
		cmd.Env = append(os.Environ(), killedBucket+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + round%5 {
			if !lines.Scan() {
				t.Error("it puts nothing")
				break
			}
		}
		for before := len(left); len(left) == before && !t.Failed(); { // it is in the middle of the next one then, or nearly
			if left, err = filepath.Glob(dir + "/d/*.tmp"); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it was not killed")
		}
		if left, err = filepath.Glob(dir + "/d/*.tmp"); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d files that were not finished", len(left))
		c := client(t, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())
		refs, err := list(t, c, "b/")
		if err != nil || len(refs) != 1 || refs[0].Name() != "d/blob" {
			t.Fatalf("%q, %v", texts(refs), err)
		}
		got, err := get(t, c, refs...)
		if err != nil {
			t.Fatal(err)
		}
		content := string(got[0].Bytes())
		if len(content) != 3<<20 || content != strings.Repeat(content[:1], len(content)) {
			t.Errorf("half a blob of %d bytes", len(content))
		}
		mustPut(t, c, "b/d/blob", "a") // nothing that was left is in the way
	}
}

// Blobs that are replaced all the time are got as one version each.
func TestVersionsAreWhole(t *testing.T) {
	for kind, place := range map[string]string{"file": "file://" + t.TempDir(), "mem": "mem://"} {
		t.Run(kind, func(t *testing.T) {
			c := client(t, map[string]string{"b": place}, blobio.DefaultLimits())
			mustPut(t, c, "b/a", "a")
			done := make(chan error, 1)
			const versions = 100
			go func() {
				for i := range versions {
					if _, err := put(t, c, one("r", "b/a"), one("c", strings.Repeat(string(rune('a'+i%26)), 1+i*1000))); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			for {
				select {
				case err := <-done:
					if err != nil {
						t.Error(err)
					}
					return
				default:
				}
				got, err := get(t, c, item("r", 0, "b/a"))
				if err != nil {
					t.Error(errors.Join(err, <-done))
					return
				}
				content := string(got[0].Bytes())
				if content != strings.Repeat(content[:1], len(content)) || len(content)%1000 != 1 {
					t.Fatalf("%d bytes of two versions", len(content))
				}
			}
		})
	}
}
