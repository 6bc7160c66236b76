package main_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/client"
)

// A server that is killed at any moment under uploads, changes of tags and
// deletions has lost nothing that it had acknowledged, has nothing half-made,
// and keeps nothing that nobody refers to.
func TestKill(t *testing.T) {
	rounds := 10
	if s := os.Getenv("PAPPUS_KILL_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	told := &acknowledged{versions: map[string]string{}, latest: map[string]int64{}}
	base := sample(t, "wordcount")
	for round := range rounds {
		p := serve(t, dir)
		p.checkTold(told, round)
		if t.Failed() {
			return
		}
		var clients sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		wrote := make(chan struct{})
		first := sync.OnceFunc(func() { close(wrote) })
		for g := range 4 {
			clients.Go(func() {
				defer first()
				told.write(ctx, p.client, fmt.Sprintf("f%d", g), base, first)
			})
		}
		<-wrote                                                      // a slow machine takes long for it
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond) // any moment after that will do
		p.kill()
		leave()
		clients.Wait()
	}
	p := serve(t, dir)
	p.checkTold(told, rounds)
	if len(told.versions) < rounds {
		t.Errorf("only %d operations were acknowledged in %d rounds", len(told.versions), rounds)
	}
	t.Logf("%d kills, %d versions acknowledged", rounds, len(told.versions))
}

// acknowledged is what servers said that they have done.
type acknowledged struct {
	mu       sync.Mutex
	versions map[string]string // "f1@3" → digest, "" once it is deleted, "?" while that is asked for
	latest   map[string]int64  // of "f1", at least
}

func (a *acknowledged) note(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// write registers, tags and deletes versions of one function until the server
// is gone, and tells of each version.
func (a *acknowledged) write(ctx context.Context, c *client.Client, name string, base []byte, tell func()) {
	for i := 0; ; i++ {
		code := withSection(base, rand.N[uint64](1<<63), rand.IntN(200_000))
		f, created, err := c.PutFunction(ctx, name, client.BytesBody(code, "application/wasm"), client.PutOptions{})
		if err != nil || !created {
			return
		}
		a.note(func() {
			a.versions[fmt.Sprintf("%s@%d", name, f.Version)] = f.Digest
			a.latest[name] = f.Version
		})
		tell()
		if i%3 == 2 {
			if _, err := c.SetTag(ctx, name, "stable", strconv.FormatInt(f.Version, 10)); err != nil {
				return
			}
		}
		if i%4 == 3 {
			old := fmt.Sprintf("%s@%d", name, f.Version-2)
			a.note(func() { a.versions[old] = "?" })
			if err := c.DeleteFunction(ctx, old); err != nil {
				return
			}
			a.note(func() { a.versions[old] = "" })
		}
	}
}

// withSection adds a custom section, so that the same function gets another
// digest.
func withSection(code []byte, seed uint64, size int) []byte {
	content := append([]byte("\x05salty"), binary.LittleEndian.AppendUint64(nil, seed)...)
	content = append(content, bytes.Repeat([]byte{byte(seed)}, size)...)
	return append(append(append(bytes.Clone(code), 0), binary.AppendUvarint(nil, uint64(len(content)))...), content...)
}

// checkTold compares a server with what it, or those before it, have said.
func (p *process) checkTold(told *acknowledged, round int) {
	p.t.Helper()
	ctx := p.t.Context()
	for ref, digest := range told.versions {
		f, err := p.client.GetFunction(ctx, ref)
		var missing *client.Problem
		gone := errors.As(err, &missing) && missing.Status == 404
		switch {
		case digest == "?":
		case digest == "" && !gone:
			p.t.Errorf("round %d: %s was deleted and is back: %v, %v", round, ref, f, err)
		case digest != "" && (err != nil || f.Digest != digest):
			p.t.Errorf("round %d: %s was acknowledged and is %v (%v)", round, ref, f, err)
		}
	}
	for name, latest := range told.latest {
		f, err := p.client.GetFunction(ctx, name)
		if err != nil || f.Version < latest {
			p.t.Errorf("round %d: %s was at version %d and is %v (%v)", round, name, latest, f, err)
			continue
		}
		if got, err := p.invoke(name, "a b a"); got != "a 2\nb 1\n" || err != nil {
			p.t.Errorf("round %d: %s gives %q (%v)", round, name, got, err)
		}
	}
	p.checkCode(round)
}

// checkCode looks whether every version's code can be had, and whether there
// are files of no version.
func (p *process) checkCode(round int) {
	p.t.Helper()
	used := map[string]bool{}
	list, err := p.client.ListFunctions(p.t.Context(), "", 0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range list.Items {
		for cursor := ""; ; {
			page, err := p.client.Versions(p.t.Context(), f.Name, cursor, 0)
			if err != nil {
				p.t.Fatal(err)
			}
			for _, v := range page.Items {
				used[strings.TrimPrefix(v.CodeDigest, "sha256:")] = true
				code, err := p.client.Code(p.t.Context(), fmt.Sprintf("%s@%d", v.Name, v.Version))
				if err != nil {
					p.t.Errorf("round %d: %s@%d: %v", round, v.Name, v.Version, err)
					continue
				}
				if n, err := io.Copy(io.Discard, code); n != v.Size || err != nil {
					p.t.Errorf("round %d: %s@%d: %d bytes of %d (%v)", round, v.Name, v.Version, n, v.Size, err)
				}
				_ = code.Close() // it was read
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	compiled, remembered := filepath.Join(p.dir, "compiled"), filepath.Join(p.dir, "memo")
	err = filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		switch path {
		case filepath.Join(compiled, "v1"), filepath.Join(remembered, "v2"):
			return filepath.SkipDir // what is kept of code that is gone makes room when there is none
		case filepath.Join(compiled, "key"), filepath.Join(remembered, "key"):
			return nil
		}
		if err == nil && !entry.IsDir() && entry.Name() != "registry.db" && !used[entry.Name()] {
			p.t.Errorf("round %d: %s belongs to nothing", round, path)
		}
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
}
