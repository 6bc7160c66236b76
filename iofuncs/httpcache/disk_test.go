package httpcache_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pappus/iofuncs/httpcache"
)

// echo is an origin whose bodies say what was asked, and are kept.
func echo(asked *int) origin {
	return func(req *http.Request) (*http.Response, error) {
		*asked++
		lines := "Cache-Control: max-age=100000\nVary: Foo\nEtag: \"\xff\""
		return answer(req, 0, lines, bodyOf(req.URL.Path+req.Header.Get("Foo"))), nil
	}
}

func bodyOf(name string) string { return name + strings.Repeat(" and so on", 1000) }

// files are the names of what is on disk.
func files(t fataler, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(dir, "v1"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range found {
		names = append(names, filepath.Join(dir, "v1", e.Name()))
	}
	return names
}

// filled is a folder with one answer for each path, and the variants of "/v".
func filled(t fataler, dir string, paths ...string) {
	t.Helper()
	s := open(t, httpcache.Options{Dir: dir})
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for _, path := range paths {
		send(t, rt, request(t, "GET", "http://example.com"+path, ""))
	}
	closing(t, s)
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there yet")
	filled(t, dir, "/a", "/b")
	strange := filepath.Join(dir, "v1", "strange")
	for _, path := range []string{strange, filepath.Join(dir, "tmp", "answer-1")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, httpcache.Options{Dir: dir})
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for _, path := range []string{"/a", "/b", "/a"} {
		g := send(t, rt, request(t, "GET", "http://example.com"+path, ""))
		must(t, g.what() == "hit" && g.body == bodyOf(path) && g.Header.Get("Etag") == "\"\xff\"", "%s: %s %q", path, g.what(), g.Header)
	}
	for i, want := range []string{"miss stored", "hit"} { // another variant
		g := send(t, rt, request(t, "GET", "http://example.com/a", "Foo: 1"))
		must(t, g.what() == want && g.body == bodyOf("/a1"), "%d: %s", i, g.what())
	}
	g := send(t, httpcache.New(echo(&asked), s, "other"), request(t, "GET", "http://example.com/a", ""))
	must(t, g.what() == "miss stored", "another tenant: %s", g.what())
	closing(t, s)
	st := s.Stats()
	must(t, asked == 2 && st.DiskHits == 2 && st.DiskEntries == 4 && st.DiskDamaged == 0, "asked %d times, %+v", asked, st)
	if _, err := os.Stat(strange); err != nil {
		t.Error("what is not the cache's is gone")
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp", "answer-1")); !errors.Is(err, os.ErrNotExist) {
		t.Error("leftovers are left")
	}
}

func TestOlderFilesGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, httpcache.Options{Dir: dir})
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for i := range 5 {
		send(t, rt, request(t, "GET", "http://example.com/a", "Cache-Control: no-cache\nX: "+strconv.Itoa(i)))
	}
	closing(t, s)
	must(t, len(files(t, dir)) == 1, "%d files of one variant", len(files(t, dir)))
	// A crash may leave two, of which the later one counts.
	name := files(t, dir)[0]
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(name, "-")
	if err := os.WriteFile(base+"-1000", content, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, httpcache.Options{Dir: dir})
	g := send(t, httpcache.New(echo(&asked), s, "t"), request(t, "GET", "http://example.com/a", ""))
	must(t, g.what() == "hit", "%s", g.what())
	closing(t, s)
	left := files(t, dir)
	must(t, len(left) == 1 && strings.HasSuffix(left[0], "-1000"), "left are %v", left)
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, "/a")
	name := files(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	otherDir := t.TempDir()
	filled(t, otherDir, "/b")
	other, err := os.ReadFile(files(t, otherDir)[0])
	if err != nil {
		t.Fatal(err)
	}
	type damage struct {
		name string
		do   func() error
	}
	content := func(b []byte) func() error { return func() error { return os.WriteFile(name, b, 0o600) } }
	tests := []damage{
		{"another's", content(other)},
		{"longer", content(append(whole[:len(whole):len(whole)], 0))},
		{"a link", func() error {
			return os.Symlink(files(t, otherDir)[0], name)
		}},
		{"a pipe", func() error { return syscall.Mkfifo(name, 0o600) }},
		{"a folder", func() error { return os.Mkdir(name, 0o700) }},
		{"not for us", func() error { return os.WriteFile(name, whole, 0) }},
	}
	for i := 0; i < len(whole); i += 1 + i/8 {
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 1 << (i % 8)
		tests = append(tests, damage{fmt.Sprint("bit of byte ", i), content(flipped)}, damage{fmt.Sprint("cut at ", i), content(whole[:i])})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_ = os.RemoveAll(name)
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			late := strings.HasPrefix(c.name, "bit") // becomes so while the cache is open
			if late {
				if err := os.WriteFile(name, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, httpcache.Options{Dir: dir})
			if late {
				if err := c.do(); err != nil {
					t.Fatal(err)
				}
			}
			asked := 0
			rt := httpcache.New(echo(&asked), s, "t")
			for i, want := range []string{"miss stored", "hit"} {
				g := send(t, rt, request(t, "GET", "http://example.com/a", ""))
				if c.name == "not for us" && os.Geteuid() == 0 {
					want = "hit" // nothing is not for root
				}
				must(t, g.what() == want && g.body == bodyOf("/a"), "%d: %s %d bytes", i, g.what(), len(g.body))
			}
			closing(t, s)
			for _, left := range files(t, dir) {
				_ = os.RemoveAll(left)
			}
		})
	}
}

// A folder that can't be written to costs the second tier, and nothing else.
func TestDiskThatFails(t *testing.T) { synctest.Test(t, diskThatFails) }

func diskThatFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, httpcache.Options{Dir: dir})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for i, want := range []string{"miss stored", "hit"} {
		g := send(t, rt, request(t, "GET", "http://example.com/a", ""))
		must(t, g.what() == want, "%d: %s", i, g.what())
	}
	synctest.Wait() // it has been tried
	send(t, rt, request(t, "POST", "http://example.com/a", ""))
	closing(t, s)
	must(t, s.Stats().DiskFailures > 0 && s.Stats().DiskEntries == 0, "%+v", s.Stats())
}

func TestBounds(t *testing.T) { synctest.Test(t, bounds) }

func bounds(t *testing.T) {
	dir := t.TempDir()
	const entry = 12 << 10 // on disk
	const memory = 100_000
	o := httpcache.Options{Dir: dir, Memory: memory, Largest: 20_000, Disk: 10 * entry}
	s := open(t, o)
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for i := range 30 {
		send(t, rt, request(t, "GET", fmt.Sprint("http://example.com/", i), ""))
		send(t, rt, request(t, "GET", "http://example.com/0", "")) // in use
		wait(2 * time.Minute)
		st := s.Stats()
		must(t, st.Bytes <= memory && st.DiskBytes <= o.Disk, "%+v", st)
		synctest.Wait() // the writer is to keep up
	}
	before := asked
	g := send(t, rt, request(t, "GET", "http://example.com/0", ""))
	must(t, g.what() == "hit", "what is used all the time: %s", g.what())
	g = send(t, rt, request(t, "GET", "http://example.com/22", "")) // gone from memory
	must(t, g.what() == "hit" && s.Stats().DiskHits > 0, "what is on disk: %s, %+v", g.what(), s.Stats())
	must(t, s.Stats().Bytes <= memory, "%+v", s.Stats())
	g = send(t, rt, request(t, "GET", "http://example.com/5", ""))
	must(t, g.what() == "miss stored" && asked == before+1, "what is gone: %s", g.what())
	closing(t, s)
	st := s.Stats()
	must(t, st.DiskEvicted > 0 && st.Evicted > 0 && int64(len(files(t, dir))) == st.DiskEntries, "%+v, %d files", st, len(files(t, dir)))
	s = open(t, o)
	g = send(t, httpcache.New(echo(&asked), s, "t"), request(t, "GET", "http://example.com/0", ""))
	must(t, g.what() == "hit", "what was used all the time is not on disk: %s", g.what())
	closing(t, s)
	o.Disk = 3 * entry // smaller the next time
	s = open(t, o)
	must(t, s.Stats().DiskEntries == 3 && len(files(t, dir)) == 3, "%+v", s.Stats())
	closing(t, s)
}

func TestOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []httpcache.Options{{Memory: -1}, {Disk: -1}, {Largest: -1}, {Memory: 10, Largest: 6}, {Dir: file}} {
		if s, err := httpcache.Open(o); err == nil {
			t.Errorf("%+v: no error", o)
			closing(t, s)
		}
	}
}

func TestInvalidationReachesTheDisk(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, "/a", "/b")
	s := open(t, httpcache.Options{Dir: dir})
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	send(t, rt, request(t, "PUT", "http://example.com/a", "")) // nothing of it is in memory
	must(t, len(files(t, dir)) == 1, "%d files", len(files(t, dir)))
	g := send(t, rt, request(t, "GET", "http://example.com/a", ""))
	must(t, g.what() == "miss stored", "%s", g.what())
	send(t, rt, request(t, "PUT", "http://example.com/a", "")) // it may wait to be written
	closing(t, s)
	must(t, len(files(t, dir)) == 1, "%d files", len(files(t, dir)))
}

const childDir = "HTTPCACHE_CHILD"

// child fetches and changes until it is killed, and says what is done.
func child(dir string) {
	s, err := httpcache.Open(httpcache.Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	asked := 0
	rt := httpcache.New(echo(&asked), s, "t")
	for i := 0; ; i++ {
		for _, method := range []string{"GET", "POST"} {
			n := i
			if method == "POST" { // something that has been written, or is about to be
				n = i - rand.IntN(10)
			}
			req, _ := http.NewRequest(method, fmt.Sprint("http://example.com/", n), nil)
			if _, err := try(rt, req); err != nil {
				fmt.Println("error", err)
				return
			}
			fmt.Println(method, n)
		}
	}
}

// What a process said is gone stays gone when it is killed, and all else is whole.
func TestKill(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("PAPPUS_KILL_ROUNDS"))
	for range max(2, rounds/5) {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		gone, most, killed := make(map[int]bool), 0, false
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			method, number, _ := strings.Cut(lines.Text(), " ")
			i, err := strconv.Atoi(number)
			if err != nil {
				t.Errorf("the process said %q", lines.Text())
			}
			most = max(most, i)
			if method == "POST" {
				gone[i] = true
			}
			// Files are written behind what is answered, on a slow machine far behind.
			if !killed && n >= 600 && n%50 == 0 && len(files(t, dir)) > 50 {
				killed = true
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		s := open(t, httpcache.Options{Dir: dir})
		asked := 0
		rt := httpcache.New(echo(&asked), s, "t")
		kept := 0
		for i := range most + 1 {
			path := fmt.Sprint("/", i)
			g := send(t, rt, request(t, "GET", "http://example.com"+path, "Cache-Control: only-if-cached"))
			if g.StatusCode == http.StatusGatewayTimeout {
				continue
			}
			kept++
			must(t, g.body == bodyOf(path), "%s has the body %.20q", path, g.body)
			must(t, !gone[i], "%s is there again", path)
		}
		must(t, kept > 0, "none of %d were kept", most)
		must(t, s.Stats().DiskDamaged == 0, "%+v", s.Stats())
		closing(t, s)
	}
}
