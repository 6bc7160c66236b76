package blobio_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pappus/iofuncs/blobio"
)

const pageHead = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>`

func object(key, etag string, size any) string {
	return fmt.Sprintf("<Contents><Key>%s</Key><ETag>%s</ETag><Size>%v</Size></Contents>", key, etag, size)
}

// endless writes a text until nobody reads it any more, or so often.
func endless(w io.Writer, text string, most int) {
	for range most {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// A server of S3 can say what it likes: it is neither believed nor held without end.
func TestHostileS3(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	const many = 1 << 10 // times 1 MiB: far more than may be taken
	mega := strings.Repeat("x", 1<<20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // the client may have left
		say := func(parts ...string) { _, _ = io.WriteString(w, strings.Join(parts, "")) }
		what := strings.TrimPrefix(r.URL.Path, "/bucket/")
		if q := r.URL.Query(); q.Get("list-type") != "" {
			what, _, _ = strings.Cut(q.Get("prefix"), "/")
		}
		switch what {
		case "error":
			w.WriteHeader(http.StatusBadRequest)
			say("<Error><Code>x</Code><Message>")
			endless(w, mega, many)
		case "stored":
			w.Header().Set("Etag", `"e"`)
			endless(w, mega, many)
		case "header":
			for i := range 300 {
				w.Header().Set(fmt.Sprint("X-", i), mega[:1<<10])
			}
		case "page":
			say(pageHead, "<Contents><Key>")
			endless(w, mega, many)
		case "objects":
			say(pageHead)
			endless(w, "<x:cOntents/>", 100_000)
			say("</ListBucketResult>")
		case "groups":
			say(pageHead)
			endless(w, "<CommonPrefixes></CommonPrefixes>", 100_000)
			say("</ListBucketResult>")
		case "loop":
			say(pageHead, "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>")
		case "pages":
			say(pageHead, fmt.Sprintf("<IsTruncated>true</IsTruncated><NextContinuationToken>t%d</NextContinuationToken></ListBucketResult>", n))
		case "drip":
			say(pageHead)
			_ = http.NewResponseController(w).Flush()
			<-release
		case "negative":
			say(pageHead, object("negative/a", `"x"`, -5), "</ListBucketResult>")
		case "etags":
			say(pageHead)
			for i, etag := range []string{
				"\"x\"\nRange:bytes=0-0\nMissing:empty\nX:\"", "\"x\"&#10;Missing:empty", "a&#13;b", "\"a b\"", "\"a\"b\"", "\"", "", "W/\"a\"", "&#233;",
				strings.Repeat("e", 2000), "plain", "\"good\"",
			} {
				say(object(fmt.Sprintf("etags/%02d", i), etag, i))
			}
			say("</ListBucketResult>")
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	limits := blobio.DefaultLimits()
	limits.Idle = 2 * time.Second
	c := client(t, map[string]string{"b": placeOf(s)}, limits)

	for what, test := range map[string]struct {
		want  string
		asked int64 // at most; 0: it does not matter
	}{
		"error":    {"status 400", 1},
		"page":     {"more than 8388608 bytes for a page", 1},
		"objects":  {"more than 1000 keys in a page", 1},
		"groups":   {"more than 1000 keys in a page", 1},
		"loop":     {"the same page of a list again and again", 2},
		"pages":    {"does not come to the end of a list", 1100},
		"drip":     {"nothing moved for 2s", 0},
		"negative": {"a blob has -5 bytes", 1},
	} {
		asked.Store(0)
		var held, peak atomic.Int64
		_, err := call(t.Context(), c, "BlobList", "default", counting(&held, &peak), one("p", "b/"+what+"/"))
		fails(t, "list "+what, err, test.want)
		if test.asked > 0 && asked.Load() > test.asked {
			t.Errorf("list %s: asked %d times", what, asked.Load())
		}
		if held.Load() != 0 || peak.Load() > 32<<20 {
			t.Errorf("list %s: %d bytes are charged still, of %d", what, held.Load(), peak.Load())
		}
	}
	_, err := get(t, c, item("r", 0, "b/error"))
	fails(t, "get error", err, "status 400")
	_, err = put(t, c, one("r", "b/error"), one("c", "x"))
	fails(t, "put error", err, "status 400")
	_, err = get(t, c, item("r", 0, "b/header"))
	fails(t, "get header", err, "io-failed")
	got, err := put(t, c, one("r", "b/stored"), one("c", "x"))
	same(t, "put", got, err, "c/0 b/stored\nETag:\"e\"\nSize:1\nOutcome:stored\n")

	// What no ref could name is no ETag, and nothing becomes another line.
	refs, err := list(t, c, "b/etags/")
	if err != nil || len(refs) != 12 {
		t.Fatalf("%q, %v", texts(refs), err)
	}
	for i, r := range refs {
		want := fmt.Sprintf("b/etags/%02d\nSize:%d\n", i, i)
		switch i {
		case 10:
			want = "b/etags/10\nETag:\"plain\"\nSize:10\n"
		case 11:
			want = "b/etags/11\nETag:\"good\"\nSize:11\n"
		}
		if string(r.Bytes()) != want {
			t.Errorf("%q, want %q", r.Bytes(), want)
		}
	}
}

// What a server sends behind an answer is no blob of the next call, whoever makes it.
func TestMoreThanAnnounced(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }() // the client has closed it
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					var said string
					for _, blob := range []string{strings.TrimPrefix(r.URL.Path, "/bucket/"), "of another"} {
						said += fmt.Sprintf("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Thu, 26 Nov 2026 02:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", len(blob), blob)
					}
					if _, err := io.WriteString(conn, said); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { // when the client has closed its connections
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	c := client(t, map[string]string{"b": "s3://bucket?access-key-env=TEST_ID&secret-key-env=TEST_SECRET&endpoint=http://" + l.Addr().String()}, blobio.DefaultLimits())
	const atOnce, each = 16, 200
	var calls sync.WaitGroup
	for i := range atOnce {
		calls.Go(func() {
			for j := range each {
				key := fmt.Sprint("k", i, "-", j)
				got, err := get(t, c, item("r", 0, "b/"+key))
				if err != nil || len(got) != 1 || string(got[0].Bytes()) != key {
					t.Errorf("the blob %s: %v, %v", key, got, err)
				}
			}
		})
	}
	calls.Wait()
}

// counting counts what is charged, and the most of it.
func counting(held, peak *atomic.Int64) func(int64) error {
	return func(n int64) error {
		now := held.Add(n)
		for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
		}
		return nil
	}
}

// What a list holds is charged before it is taken, and given back but for its items.
func TestListsAreCharged(t *testing.T) {
	const blobs = 300
	for kind, place := range map[string]string{"file": "file://" + t.TempDir(), "mem": "mem://", "s3": s3Server(t, nil)} {
		t.Run(kind, func(t *testing.T) {
			c := client(t, map[string]string{"b": place}, blobio.DefaultLimits())
			for i := range blobs {
				mustPut(t, c, fmt.Sprintf("b/d%d/%s%03d", i%3, strings.Repeat("k", 200), i), "")
			}
			for _, ref := range []string{"b/", "b/d1/", "b/\nLimit: 5"} {
				var held, peak atomic.Int64
				refs, err := call(t.Context(), c, "BlobList", "default", counting(&held, &peak), one("p", ref))
				items := int64(0)
				for _, r := range refs {
					items += int64(len(r.Name()) + r.Len())
				}
				if err != nil || held.Load() != items || peak.Load() < items+items/2 {
					t.Errorf("%q: %v: %d bytes are charged for items of %d, at most %d", ref, err, held.Load(), items, peak.Load())
				}
			}
			errFull := errors.New("no more")
			held := int64(0)
			_, err := call(t.Context(), c, "BlobList", "default", func(n int64) error {
				if held += n; n > 0 && held > 20_000 {
					held -= n
					return errFull
				}
				return nil
			}, one("p", "b/"))
			if !errors.Is(err, errFull) || held != 0 {
				t.Errorf("%v: %d bytes are charged", err, held)
			}
		})
	}
}

// Conditions hold for a blob whichever of the buckets that have it is named.
func TestFoldersOfSeveralBuckets(t *testing.T) {
	dir, link := t.TempDir(), t.TempDir()+"/link"
	if err := errors.Join(os.Mkdir(dir+"/in", 0o700), os.Symlink(dir+"/in", link), os.Symlink(".", dir+"/in/self")); err != nil {
		t.Fatal(err)
	}
	c := client(t, map[string]string{
		"outer": "file://" + dir, "again": "file://" + dir + "/?prefix=in", "inner": "file://" + dir + "/in", "link": "file://" + link,
	}, blobio.DefaultLimits())
	names := []string{"outer/in/", "again/", "inner/", "link/", "inner/self/"}
	content := strings.Repeat("x", 100_000)
	for k := range 30 {
		var stored atomic.Int64
		var all sync.WaitGroup
		begin := make(chan struct{})
		for _, name := range append(names, names...) {
			all.Go(func() {
				<-begin
				got, err := put(t, c, one("r", fmt.Sprintf("%s%d\nIf-None-Match: *", name, k)), one("c", content))
				if err != nil {
					t.Error(err)
				} else if field(string(got[0].Bytes()), "Outcome") == "stored" {
					stored.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		if stored.Load() != 1 {
			t.Fatalf("blob %d was stored as the first %d times", k, stored.Load())
		}
	}
	etags := map[string]bool{}
	for i := range 40 {
		etags[mustPut(t, c, names[i%len(names)]+"versions", "x")] = true
	}
	if len(etags) != 40 {
		t.Errorf("40 versions have %d ETags", len(etags))
	}
}

// The parts of a key may be as long as names of files.
func TestLongNames(t *testing.T) {
	everyKind(t, func(t *testing.T, c *blobio.Client) {
		for _, n := range []int{235, 240, 255} {
			key := "b/" + strings.Repeat("d", n) + "/" + strings.Repeat("k", n)
			mustPut(t, c, key, "x")
			got, err := get(t, c, item("r", 0, key))
			same(t, fmt.Sprint(n), got, err, "r/0 x")
		}
	})
	dir := t.TempDir()
	c := client(t, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())
	long := strings.Repeat("k", 256)
	for _, key := range []string{"b/" + long, "b/" + long + "/x", "b/x/" + long + "/x"} {
		_, err := put(t, c, one("r", key), one("c", "x"))
		fails(t, "put", err, "255 in most file systems")
		_, err = get(t, c, item("r", 0, key))
		fails(t, "get", err, "255 in most file systems")
	}
}
