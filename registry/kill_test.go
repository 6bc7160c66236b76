package registry

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// writerEnv names the data directory of the process that is killed.
const writerEnv = "PAPPUS_TEST_REGISTRY_WRITER"

// killRounds is how often it is killed.
func killRounds(t *testing.T) int {
	s := os.Getenv("PAPPUS_KILL_ROUNDS")
	if s == "" {
		return 10
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// writeUntilKilled pushes functions and compositions and deletes without end, and prints every
// operation once it is acknowledged.
func writeUntilKilled(dir string) int {
	r, err := Open(dir, Options{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // one line at a time
	for g := range 4 {
		wg.Go(func() {
			ctx := context.Background()
			name := fmt.Sprintf("f%d", g)
			for i := 0; ; i++ {
				code := strings.Repeat(fmt.Sprintf("%d-%d-%d ", g, i, rand.Uint64()), 1+rand.IntN(2000))
				v, _, err := r.Put(ctx, registration(name, code))
				if err != nil {
					fmt.Println("error", err)
					return
				}
				mu.Lock()
				fmt.Println("put", name, v.Number, v.Code["wasm"].Digest)
				mu.Unlock()
				if i%3 == 2 {
					c := Registration{Tenant: DefaultTenant, Name: "c" + name, Kind: KindComposition, Graph: fmt.Append(nil, i)}
					c.Uses = []Use{{Name: name, Signature: v.Signature}}
					composed, _, err := r.Put(ctx, c)
					if err != nil {
						fmt.Println("error", err)
						return
					}
					mu.Lock()
					fmt.Println("put", composed.Name, composed.Number, composed.Digest)
					mu.Unlock()
				}
				if i%5 == 4 {
					if err := r.Delete(ctx, DefaultTenant, Ref{Name: name, Number: v.Number - 1}, Change{}); err != nil {
						fmt.Println("error", err)
						return
					}
					mu.Lock()
					fmt.Println("deleted", name, v.Number-1)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return 1
}

// A process that is killed while it writes has lost nothing that it had
// acknowledged, left nothing half-made, and nothing that nobody refers to.
func TestKill(t *testing.T) {
	for round := range killRounds(t) {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(20+rand.IntN(200)) * time.Millisecond
		killer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		acknowledged := map[string]string{} // "f1@3" → digest of its code, "cf1@3" → its digest, "" once deleted
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			switch {
			case len(f) == 4 && f[0] == "put":
				acknowledged[f[1]+"@"+f[2]] = f[3]
			case len(f) == 3 && f[0] == "deleted":
				acknowledged[f[1]+"@"+f[2]] = ""
			default:
				t.Fatalf("round %d: the writer says %q", round, lines.Text())
			}
		}
		_ = cmd.Wait() // it was killed
		killer.Stop()
		verifyAfterKill(t, round, dir, acknowledged)
	}
}

func verifyAfterKill(t *testing.T, round int, dir string, acknowledged map[string]string) {
	t.Helper()
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer func() { _ = r.Close() }()
	for name, digest := range acknowledged {
		ref, err := ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Resolve(t.Context(), DefaultTenant, ref)
		if digest == "" {
			if err == nil {
				t.Errorf("round %d: %s was deleted and is back", round, name)
			}
			continue
		}
		// A deletion may have happened just before it could be told.
		if err != nil && ref.Number%5 == 4 {
			continue
		}
		if err == nil && v.Kind == KindComposition {
			if _, err := r.ResolveAll(t.Context(), DefaultTenant, ref); err != nil || v.Digest.String() != digest {
				t.Errorf("round %d: %s was acknowledged and is %v (%v)", round, name, v, err)
			}
			continue
		}
		if err != nil || v.Code["wasm"].Digest.String() != digest {
			t.Errorf("round %d: %s was acknowledged and is %v (%v)", round, name, v, err)
		}
	}
	versions := map[string]bool{}
	page, _, err := r.List(t.Context(), DefaultTenant, KindFunction, "", MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page {
		all, next, err := r.Versions(t.Context(), DefaultTenant, KindFunction, f.Name, "", MaxPage)
		if err != nil || next != "" {
			t.Fatal(err)
		}
		for _, v := range all {
			if _, err := r.Code(t.Context(), DefaultTenant, v.Code["wasm"].Digest); err != nil {
				t.Errorf("round %d: %s@%d: %v", round, v.Name, v.Number, err)
			}
			versions[v.Code["wasm"].Digest.Hex()] = true
		}
	}
	want := map[string]string{}
	compositions, _, err := r.List(t.Context(), DefaultTenant, KindComposition, "", MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, c := range compositions {
		name := strings.TrimPrefix(c.Name, "c")
		names = append(names, name)
		want[name+" used by "+versionID{c.Name, c.Number}.String()] = name + " "
	}
	if rows := userRows(t, r, names); !maps.Equal(rows, want) {
		t.Errorf("round %d: users are %v, want %v", round, rows, want)
	}
	if files := codeFiles(t, dir); len(files) != len(versions) {
		t.Errorf("round %d: %d files of code for %d digests", round, len(files), len(versions))
	}
	t.Logf("round %d: %d operations acknowledged, %d versions", round, len(acknowledged), len(versions))
}
