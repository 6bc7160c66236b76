package blobio_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/iofuncs"
	"pappus/iofuncs/blobio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client opens buckets, all of which the tenant default may read and write.
func client(t testing.TB, buckets map[string]string, limits blobio.Limits) *blobio.Client {
	t.Helper()
	return clientOf(t, blobio.Config{Limits: limits, Access: func(string, string) blobio.Access { return blobio.ReadWrite }}, buckets)
}

func clientOf(t testing.TB, config blobio.Config, buckets map[string]string) *blobio.Client {
	t.Helper()
	config.LookupEnv, config.Buckets = credentials, map[string]blobio.Place{}
	for name, text := range buckets {
		place, err := blobio.ParsePlace(text)
		if err != nil {
			t.Fatal(err)
		}
		config.Buckets[name] = place
	}
	c, err := blobio.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// everyKind are buckets b of each kind, with a prefix and without.
func everyKind(t *testing.T, test func(t *testing.T, c *blobio.Client)) {
	t.Helper()
	prefixed(t, []string{"", "prefix=of/ours"}, test)
}

func prefixed(t *testing.T, prefixes []string, test func(t *testing.T, c *blobio.Client)) {
	t.Helper()
	for _, prefix := range prefixes {
		for kind, place := range map[string]func(t *testing.T) string{
			"file": func(t *testing.T) string { return "file://" + t.TempDir() + "?" },
			"mem":  func(*testing.T) string { return "mem://?" },
			"s3":   func(t *testing.T) string { return s3Server(t, nil) + "&" },
		} {
			t.Run(kind+prefix, func(t *testing.T) {
				test(t, client(t, map[string]string{"b": strings.TrimRight(place(t)+prefix, "?&")}, blobio.DefaultLimits()))
			})
		}
	}
}

func item(name string, key uint32, content string) *data.Item {
	return data.NewItem(name, key, []byte(content))
}

func one(name, content string) []*data.Item { return []*data.Item{item(name, 0, content)} }

// call calls one of a client's functions for a tenant.
func call(ctx context.Context, c *blobio.Client, name, tenant string, charge func(int64) error, inputs ...[]*data.Item) ([]*data.Item, error) {
	for _, f := range c.Functions() {
		if f.Spec().Name != name {
			continue
		}
		var sets []data.Set
		for i, p := range f.Spec().Inputs {
			sets = append(sets, data.Set{Name: p.Name, Items: inputs[i]})
		}
		out, err := f.Call(ctx, iofuncs.NewRequest(tenant, sets, charge))
		if err != nil {
			return nil, err
		}
		return out[0].Items, nil
	}
	return nil, errors.New("there is no function " + name)
}

func get(t testing.TB, c *blobio.Client, refs ...*data.Item) ([]*data.Item, error) {
	t.Helper()
	return call(t.Context(), c, "BlobGet", "default", nil, refs)
}

func put(t testing.TB, c *blobio.Client, refs, contents []*data.Item) ([]*data.Item, error) {
	t.Helper()
	return call(t.Context(), c, "BlobPut", "default", nil, refs, contents)
}

func list(t testing.TB, c *blobio.Client, prefix string) ([]*data.Item, error) {
	t.Helper()
	return call(t.Context(), c, "BlobList", "default", nil, one("p", prefix))
}

// mustPut puts a blob, and returns its ETag.
func mustPut(t testing.TB, c *blobio.Client, ref, content string) (etag string) {
	t.Helper()
	got, err := put(t, c, one("r", ref), one("c", content))
	if err != nil {
		t.Fatal(err)
	}
	return field(string(got[0].Bytes()), "ETag")
}

func field(item, name string) string {
	_, rest, _ := strings.Cut(item, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// texts are items as NAME/KEY CONTENT.
func texts(items []*data.Item) (all []string) {
	for _, it := range items {
		all = append(all, fmt.Sprintf("%s/%d %s", it.Name(), it.Key(), it.Bytes()))
	}
	return all
}

func same(t *testing.T, what string, got []*data.Item, err error, want ...string) {
	t.Helper()
	if err != nil || !slices.Equal(texts(got), want) {
		t.Errorf("%s: %q, %v, want %q", what, texts(got), err, want)
	}
}

// fails fails unless an error, or what it says to do, has a text.
func fails(t *testing.T, what string, err error, want string) {
	t.Helper()
	if said := (*iofuncs.Error)(nil); err == nil || !errors.As(err, &said) || !strings.Contains(err.Error()+"; "+said.Hint, want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func TestBlobs(t *testing.T) {
	everyKind(t, func(t *testing.T, c *blobio.Client) {
		// One ref that ends with a slash is for all contents.
		got, err := put(t, c, one("to", "b/d/"), []*data.Item{item("x", 3, "first"), item("y/z é", 4, "")})
		if err != nil || len(got) != 2 || got[0].Name() != "x" || got[1].Key() != 4 {
			t.Fatal(texts(got), err)
		}
		first := string(got[0].Bytes())
		etag := field(first, "ETag")
		if first != "b/d/x\nETag:"+etag+"\nSize:5\nOutcome:stored\n" || len(etag) < 3 {
			t.Errorf("%q", first)
		}
		// What came of it is a ref.
		again, err := get(t, c, got...)
		same(t, "get", again, err, "x/3 first", "y/z é/4 ")

		// Each ref has the content of its name and key.
		_, err = put(t, c, []*data.Item{item("1", 1, "b/a"), item("1", 2, "b/d/w\nContent-Type: text/plain")}, []*data.Item{item("1", 2, "two"), item("1", 1, "one")})
		if err != nil {
			t.Fatal(err)
		}
		refs, err := list(t, c, "b/")
		if err != nil || len(refs) != 4 || string(refs[2].Bytes()) != "b/d/x\nETag:"+etag+"\nSize:5\n" {
			t.Fatal(texts(refs), err)
		}
		all, err := get(t, c, refs...)
		same(t, "get what was listed", all, err, "a/0 one", "d/w/0 two", "d/x/0 first", "d/y/z é/0 ")
		for prefix, want := range map[string]string{
			"b/d/":                 "d/w d/x d/y/z é",
			"b/d":                  "d/w d/x d/y/z é",
			"b/d/\nDelimiter:/":    "d/w d/x",
			"b/\ndelimiter: /\r\n": "a",
			"b/\nDelimiter:/w":     "a d/x d/y/z é",
			"b/d/x":                "d/x",
			"b/\nAfter: d/w":       "d/x d/y/z é",
			"b/\nLimit: 2":         "a d/w",
			"b/none/at/all":        "",
			"b/..":                 "",
			"b/a/":                 "",
		} {
			refs, err := list(t, c, prefix)
			var names []string
			for _, r := range refs {
				names = append(names, r.Name())
			}
			if err != nil || strings.Join(names, " ") != want {
				t.Errorf("list %q: %q, %v, want %s", prefix, names, err, want)
			}
		}

		for ref, want := range map[string]string{
			"b/d/x\nRange: bytes=0-0":                         "f",
			"b/d/x\nRange:bytes=1-2\n\n":                      "ir",
			"b/d/x\nRange: bytes=3-":                          "st",
			"b/d/x\r\nrange: bytes=3-9223372036854775806\r\n": "st",
			"b/d/x\nRange: bytes=-2":                          "st",
			"b/d/x\nRange: bytes=-100":                        "first",
			"b/d/y/z é\nRange: bytes=-1":                      "",
			"b/d/x\nIf-Match: " + etag:                        "first",
			"b/d/x\nIf-None-Match: \"0\"":                     "first",
			"b/no\nMissing: empty":                            "",
			"b/d\nMissing: empty":                             "",
			"b/a/b\nMissing: empty":                           "",
			"b/d/x\nMissing: empty\nIf-Match: \"0\"":          "",
			"b/d/x\nMissing: empty\nIf-None-Match: " + etag:   "",
		} {
			got, err := get(t, c, item("n", 9, ref))
			same(t, ref, got, err, "n/9 "+want)
		}
		mustPut(t, c, "b/z../é&+%2f", "odd")
		got, err = get(t, c, item("n", 0, "b/z../é&+%2f"))
		same(t, "an odd key", got, err, "n/0 odd")
		got, err = get(t, c, item("n", 1, "b/no\nMissing: skip"), item("n", 2, "b/a"))
		same(t, "skipped", got, err, "n/2 one")
		for ref, want := range map[string]string{
			"b/no":                          `io-failed (refs: "n", key 5): the bucket b: there is no such blob: "no"`,
			"b/d":                           "there is no such blob",
			"b/d/x\nIf-Match: \"0\"":        "the condition does not hold",
			"b/d/x\nIf-None-Match: " + etag: "the condition does not hold",
			"b/d/x\nRange: bytes=5-":        "no byte of this range",
			"b/d/y/z é\nRange: bytes=0-9":   "no byte of this range",
			"c/d":                           "there is no bucket c for this tenant",
		} {
			_, err := get(t, c, item("n", 5, ref))
			fails(t, ref, err, want)
		}
	})
}

// Conditions are answers, and only one of many who make the same one has it hold.
func TestConditions(t *testing.T) {
	everyKind(t, func(t *testing.T, c *blobio.Client) {
		outcome := func(ref, content string) string {
			got, err := put(t, c, one("r", ref), one("c", content))
			if err != nil {
				t.Error(err)
				return ""
			}
			return field(string(got[0].Bytes()), "Outcome")
		}
		if got := outcome("b/a\nIf-Match: \"0\"", "x"); got != "condition" {
			t.Errorf("If-Match of none: %s", got)
		}
		if got := outcome("b/a\nIf-None-Match: *", "1"); got != "stored" {
			t.Errorf("the first: %s", got)
		}
		if got := outcome("b/a\nIf-None-Match: *", "2"); got != "condition" {
			t.Errorf("the second: %s", got)
		}
		etag := mustPut(t, c, "b/a", "3")
		next := mustPut(t, c, "b/a\nIf-Match: "+etag, "4")
		if next == etag || outcome("b/a\nIf-Match: "+etag, "5") != "condition" {
			t.Errorf("%s, %s", etag, next)
		}
		got, err := get(t, c, item("", 0, "b/a\nIf-Match: "+next))
		same(t, "at last", got, err, "/0 4")
	})
	// A counter that many count up loses nothing. (The server of S3 in tests judges a
	// condition and stores in two steps.)
	for kind, place := range map[string]string{"file": "file://" + t.TempDir(), "mem": "mem://"} {
		t.Run(kind+" counter", func(t *testing.T) {
			c := client(t, map[string]string{"b": place}, blobio.DefaultLimits())
			mustPut(t, c, "b/n", "1000")
			const writers, each = 4, 25
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for done := 0; done < each; {
						refs, err := list(t, c, "b/n")
						if err != nil || len(refs) != 1 {
							t.Error(texts(refs), err)
							return
						}
						match := "b/n\nIf-Match: " + field(string(refs[0].Bytes()), "ETag")
						now, err := get(t, c, item("", 0, match+"\nMissing: skip"))
						if err != nil {
							t.Error(err)
							return
						}
						if len(now) == 0 {
							continue // there is another already
						}
						value, err := strconv.Atoi(string(now[0].Bytes()))
						if err != nil {
							t.Error(err)
							return
						}
						got, err := put(t, c, one("r", match), one("c", strconv.Itoa(value+1)))
						if err != nil {
							t.Error(err)
							return
						}
						if field(string(got[0].Bytes()), "Outcome") == "stored" {
							done++
						}
					}
				})
			}
			all.Wait()
			got, err := get(t, c, item("", 0, "b/n"))
			same(t, "counted", got, err, fmt.Sprintf("/0 %d", 1000+writers*each))
		})
	}
}

// Items that can't be read, and calls that contradict themselves: nothing is done.
func TestBadItems(t *testing.T) {
	dir := t.TempDir()
	limits := blobio.DefaultLimits()
	limits.Size = 10
	c := client(t, map[string]string{"b": "file://" + dir, "p": "mem://?prefix=" + strings.Repeat("p", 1000)}, limits)
	long := strings.Repeat("k", 1025)
	for ref, want := range map[string]string{
		"":                             "is not BUCKET/KEY",
		"b":                            "is not BUCKET/KEY",
		"/a":                           "is not BUCKET/KEY",
		"b c/a":                        "is not the name of a bucket",
		"../a":                         "is not the name of a bucket",
		"b/":                           "the key is empty",
		"b//a":                         "begins or ends with a slash",
		"b/a/":                         "begins or ends with a slash",
		"b/a//b":                       "two in a row",
		"b/../a":                       `has ".." between slashes`,
		"b/a/..":                       `has ".." between slashes`,
		"b/./a":                        `has "." between slashes`,
		"b/a\x00":                      "control character",
		"b/a\tb":                       "control character",
		"b/a\u0085":                    "control character",
		"b/\xff":                       "UTF-8",
		"b/" + long:                    "1025 bytes",
		"b/a__0x2f__":                  "__0x",
		"b/a.attrs":                    "the platform's",
		"b/a.attrs/b":                  "the platform's",
		"p/" + strings.Repeat("k", 24): "the most in the bucket p is 23",
		"b/a.0123456789abcdef.tmp":     "the platform's",
		"b/a\nRange":                   "is not name:value",
		"b/a\nRange: 0-1":              "is not a range",
		"b/a\nRange: bytes=1-0":        "is not a range",
		"b/a\nRange: bytes=-0":         "is not a range",
		"b/a\nRange: bytes=-":          "is not a range",
		"b/a\nRange: bytes=0-1,3-4":    "is not a range",
		"b/a\nRange: bytes=+1-2":       "is not a range",
		"b/a\nRange: bytes=0-9223372036854775807":    "is not a range",
		"b/a\nIf-Match: *":                           "is not one ETag",
		"b/a\nIf-Match: W/\"a\"":                     "is not one ETag",
		"b/a\nIf-Match: \"a\"\nIf-None-Match: \"b\"": "not both",
		"b/a\nMissing: perhaps":                      "is not fault, skip or empty",
		"b/a\nRange: bytes=0-\nrange: bytes=1-":      "is there twice",
		"b/a\nContent-Type: text/plain":              "no such field",
		"b/a\nDelimiter: /":                          "no such field",
		"b/a\n\nbody":                                "something follows the empty line",
		"b/a\nMissing: sk\x01ip":                     "control characters",
		"b/" + strings.Repeat("k", 17<<10):           "the most is 16384",
	} {
		_, err := get(t, c, item("good", 0, "b/good\nMissing: skip"), item("r", 1, ref))
		fails(t, ref, err, want)
		if err != nil && !strings.Contains(err.Error(), `(refs: "r", key 1)`) {
			t.Errorf("%q: which item? %v", ref, err)
		}
	}
	for prefix, want := range map[string]string{
		"b":                   "is not BUCKET/KEY",
		"b//":                 "no key begins",
		"b/../":               `has ".." between slashes`,
		"b/a/../b":            `has ".." between slashes`,
		"b/\nLimit: 0":        "not a number above 0",
		"b/\nLimit: 10001":    "blob-limits list",
		"b/\nDelimiter:":      "it is empty",
		"b/\nAfter: /":        "begins or ends with a slash",
		"b/\nRange: bytes=0-": "no such field",
	} {
		_, err := list(t, c, prefix)
		fails(t, prefix, err, want)
	}
	a, b := item("a", 1, "b/a"), item("b", 1, "b/b")
	for what, test := range map[string]struct {
		refs, contents []*data.Item
		want           string
	}{
		"no ref":            {nil, one("a", "x"), "none of the 0 refs"},
		"no content":        {one("a", "b/a"), nil, "no content has its name and key"},
		"another name":      {[]*data.Item{a, b}, []*data.Item{item("a", 1, "x"), item("c", 1, "x")}, "none of the 2 refs"},
		"another key":       {[]*data.Item{a, b}, []*data.Item{item("a", 1, "x"), item("b", 2, "x")}, "none of the 2 refs"},
		"one too few":       {[]*data.Item{a, b}, []*data.Item{item("a", 1, "x")}, "no content has its name"},
		"two for one":       {one("a", "b/a"), []*data.Item{item("x", 1, "x"), item("y", 1, "x")}, "for one content"},
		"the same ref":      {[]*data.Item{a, a}, []*data.Item{item("a", 1, "x")}, "two refs with this name and key"},
		"the same blob":     {[]*data.Item{item("a", 1, "b/a"), item("b", 1, "b/a")}, []*data.Item{item("a", 1, "x"), item("b", 1, "x")}, "another content is put"},
		"no name":           {one("a", "b/d/"), one("", "x"), "its name is to be the end of a key"},
		"a name out of it":  {one("a", "b/d/"), one("../../x", "x"), `has ".." between slashes`},
		"a long name":       {one("a", "p/d/"), one(strings.Repeat("k", 22), "x"), "the most in the bucket p is 23"},
		"too large":         {one("a", "b/a"), one("a", "12345678901"), "blob-limits size"},
		"unknown condition": {one("a", "b/a\nIf-None-Match: \"1\""), one("a", "x"), "can have * there only"},
		"no type":           {one("a", "b/a\nContent-Type:"), one("a", "x"), "it is empty"},
		"a reserved key":    {one("a", "b/a.attrs"), one("a", "x"), "the platform's"},
	} {
		_, err := put(t, c, test.refs, test.contents)
		fails(t, what, err, test.want)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("something was put: %v, %v", files, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := get(t, c, item("r", 1, "b/large"))
	fails(t, "a large blob", err, "it has 11 bytes; the most is 10 (blob-limits size)")
	got, err := get(t, c, item("r", 1, "b/large\nRange: bytes=5-6"))
	same(t, "a part of it", got, err, "r/1 \x00\x00")
}

// What is granted, and what is not there for a tenant.
func TestAccess(t *testing.T) {
	c := clientOf(t, blobio.Config{Limits: blobio.DefaultLimits(), Access: func(tenant, bucket string) blobio.Access {
		return map[string]blobio.Access{"writer b": blobio.ReadWrite, "reader b": blobio.ReadOnly}[tenant+" "+bucket]
	}}, map[string]string{"b": "mem://"})
	do := func(name, tenant string, inputs ...[]*data.Item) error {
		_, err := call(t.Context(), c, name, tenant, nil, inputs...)
		return err
	}
	if err := do("BlobPut", "writer", one("r", "b/a"), one("c", "x")); err != nil {
		t.Error(err)
	}
	for _, tenant := range []string{"writer", "reader"} {
		if err := errors.Join(do("BlobGet", tenant, one("r", "b/a")), do("BlobList", tenant, one("r", "b/"))); err != nil {
			t.Error(tenant, err)
		}
	}
	fails(t, "a reader writes", do("BlobPut", "reader", one("r", "b/a"), one("c", "x")), "is for reading only")
	for _, name := range []string{"BlobGet", "BlobList"} {
		fails(t, "a stranger", do(name, "stranger", one("r", "b/a")), "there is no bucket b for this tenant")
	}
	fails(t, "a stranger", do("BlobPut", "stranger", one("r", "b/a"), one("c", "x")), "there is no bucket b for this tenant")
}

// Each failure says what to do about it, and who can.
func TestHints(t *testing.T) {
	limits := blobio.DefaultLimits()
	limits.Size, limits.Memory, limits.List = 10, 2<<10, 1
	c := clientOf(t, blobio.Config{Limits: limits, Access: func(_, bucket string) blobio.Access {
		return map[string]blobio.Access{"b": blobio.ReadWrite, "ro": blobio.ReadOnly}[bucket]
	}}, map[string]string{"b": "mem://", "ro": "mem://"})
	mustPut(t, c, "b/1", "1")
	for ref, want := range map[string]string{
		"b": "Correct the item", "b/../x": "Correct the item", "b/1\nRange:x": "Correct the item", "b/missing": "the field Missing", "x/1": "--bucket-grants", "b/1\nRange: bytes=5-": "bytes that the blob has",
	} {
		_, err := get(t, c, item("r", 0, ref))
		fails(t, ref, err, want)
	}
	_, err := put(t, c, one("r", "ro/1"), one("c", "x"))
	fails(t, "read-only", err, "--bucket-grants TENANT:BUCKET:rw")
	_, err = put(t, c, one("r", "b/1"), one("c", "more than ten bytes"))
	fails(t, "large", err, "blob-limits size")
	mustPut(t, c, "b/2", "2")
	_, err = list(t, c, "b/")
	fails(t, "many", err, "--blob-limits list")
	_, err = put(t, c, one("r", "b/"+strings.Repeat("k", 1000)), one("c", "x"))
	fails(t, "full", err, "--blob-limits memory")
}

// Memory is charged before it is taken, and given back by what fails; what forbids it
// is told as it is.
func TestCharges(t *testing.T) {
	prefixed(t, []string{""}, func(t *testing.T, c *blobio.Client) {
		const size = 20 << 20 // more than is believed
		mustPut(t, c, "b/large", strings.Repeat("x", size))
		var charged, most atomic.Int64
		got, err := call(t.Context(), c, "BlobGet", "default", func(n int64) error {
			now := charged.Add(n)
			most.Store(max(most.Load(), now))
			return nil
		}, one("r", "b/large"))
		if err != nil || len(got) != 1 || got[0].Len() != size || charged.Load() != size || most.Load() > 2*size {
			t.Errorf("%v: charged %d, at most %d", err, charged.Load(), most.Load())
		}
		full := errors.New("full")
		charged.Store(0)
		_, err = call(t.Context(), c, "BlobGet", "default", func(n int64) error {
			if charged.Load()+n >= size {
				return full
			}
			charged.Add(n)
			return nil
		}, one("r", "b/large"))
		if !errors.Is(err, full) || charged.Load() != 0 {
			t.Errorf("%v, %d are still charged", err, charged.Load())
		}
	})
}

// A bucket in memory holds no more than it may.
func TestMemoryIsBounded(t *testing.T) {
	limits := blobio.DefaultLimits()
	limits.Memory = 3000
	c := client(t, map[string]string{"b": "mem://"}, limits)
	mustPut(t, c, "b/a", strings.Repeat("x", 2000))
	_, err := put(t, c, one("r", "b/b"), one("c", strings.Repeat("x", 2000)))
	fails(t, "too much", err, "blob-limits memory")
	mustPut(t, c, "b/a", "x")
	mustPut(t, c, "b/b", strings.Repeat("x", 1500))
}

// What a blob holds is given back only once it holds less: nobody else gets it while it
// is still there, also if the put then fails.
func TestMemoryIsGivenBackLast(t *testing.T) {
	limits := blobio.DefaultLimits()
	limits.Memory = 1 << 20
	c := client(t, map[string]string{"b": "mem://"}, limits)
	mustPut(t, c, "b/a", strings.Repeat("x", 900_000))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(ended)
		for range 5000 {
			if err := c.PutStraight(gone, "b", "a", []byte("x")); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		content := strings.Repeat("y", 200_000) // there is no room for it
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
			}
			if _, err := put(t, c, one("r", fmt.Sprintf("b/%d", i)), one("c", content)); err == nil {
				t.Error("there is more in the bucket than it may hold")
				return
			}
		}
	})
	all.Wait()
	mustPut(t, c, "b/a", "x")
	mustPut(t, c, "b/b", strings.Repeat("y", 900_000))
}

// A bucket in memory takes no more than it counts.
func TestMemoryIsWhatIsCounted(t *testing.T) {
	c := client(t, map[string]string{"b": "mem://"}, blobio.DefaultLimits())
	content := []*data.Item{item("c", 0, strings.Repeat("x", 33<<20))}
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	if _, err := put(t, c, one("r", "b/a"), content); err != nil {
		t.Fatal(err)
	}
	if more := held() - before; more > 34<<20 {
		t.Errorf("a blob of 33 MiB takes %d bytes", more)
	}
	runtime.KeepAlive(content)
}

// A list tells when it would not be whole.
func TestListsAreWhole(t *testing.T) {
	for kind, place := range map[string]func() string{"file": func() string { return "file://" + t.TempDir() }, "mem": func() string { return "mem://" }, "s3": func() string { return s3Server(t, nil) }} {
		t.Run(kind, func(t *testing.T) {
			limits := blobio.DefaultLimits()
			limits.List = 5
			c := client(t, map[string]string{"b": place()}, limits)
			for i := range 6 {
				mustPut(t, c, fmt.Sprintf("b/d-%d", i), "x")
				mustPut(t, c, fmt.Sprintf("b/d/%d", i), "x")
			}
			_, err := list(t, c, "b/d-")
			fails(t, "six", err, "more than 5 blobs")
			refs, err := list(t, c, "b/d\nLimit: 5\nAfter: d-3")
			if err != nil || len(refs) != 5 || refs[0].Name() != "d-4" || refs[2].Name() != "d/0" {
				t.Errorf("%q, %v", texts(refs), err)
			}
		})
	}
}

// Blobs are what a map would be.
func TestModel(t *testing.T) {
	keys := rapid.SampledFrom([]string{"a", "b", "d/a", "d/b", "d-a", "d/e/f", "é", "a.txt"})
	prefixed(t, []string{"prefix=of/ours"}, func(t *testing.T, c *blobio.Client) {
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			room := fmt.Sprintf("run%d/", run)
			model := map[string]string{}
			rt.Repeat(map[string]func(*rapid.T){
				"put": func(rt *rapid.T) {
					key, content := keys.Draw(rt, "key"), rapid.StringN(0, 20, 40).Draw(rt, "content")
					fresh := rapid.Bool().Draw(rt, "fresh")
					ref := "b/" + room + key
					if fresh {
						ref += "\nIf-None-Match:*"
					}
					got, err := put(t, c, one("r", ref), one("c", content))
					if err != nil {
						rt.Fatal(err)
					}
					_, there := model[key]
					if want := !fresh || !there; (field(string(got[0].Bytes()), "Outcome") == "stored") != want {
						rt.Fatalf("%s: %s", key, got[0].Bytes())
					} else if want {
						model[key] = content
					}
				},
				"get": func(rt *rapid.T) {
					key := keys.Draw(rt, "key")
					got, err := get(t, c, item("r", 0, "b/"+room+key+"\nMissing: skip"))
					want, there := model[key]
					if err != nil || (len(got) == 1) != there || there && string(got[0].Bytes()) != want {
						rt.Fatalf("%s: %q, %v, want %q", key, texts(got), err, want)
					}
				},
				"list": func(rt *rapid.T) {
					prefix := rapid.SampledFrom([]string{"", "d", "d/", "x"}).Draw(rt, "prefix")
					refs, err := list(t, c, "b/"+room+prefix)
					var got, want []string
					for _, r := range refs {
						got = append(got, strings.TrimPrefix(r.Name(), room))
					}
					for key := range model {
						if strings.HasPrefix(key, prefix) {
							want = append(want, key)
						}
					}
					if slices.Sort(want); err != nil || !slices.Equal(got, want) {
						rt.Fatalf("%q, %v, want %q", got, err, want)
					}
				},
			})
		})
	})
}

// A call ends soon after its context, and what it was about is gone then.
func TestCanceled(t *testing.T) {
	everyKind(t, func(t *testing.T, c *blobio.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, inputs := range map[string][][]*data.Item{
			"BlobGet": {one("r", "b/a")}, "BlobList": {one("r", "b/")}, "BlobPut": {one("r", "b/a"), one("c", "x")},
		} {
			if _, err := call(ctx, c, name, "default", nil, inputs...); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		refs, err := list(t, c, "b/")
		same(t, "nothing was put", refs, err)
	})
}

// Each operation is told of once.
func TestEnded(t *testing.T) {
	var mu sync.Mutex
	var told []string
	c := clientOf(t, blobio.Config{
		Limits: blobio.DefaultLimits(), Access: func(string, string) blobio.Access { return blobio.ReadWrite },
		Ended: func(op blobio.Operation) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%s %s %s %s %s %d", op.Verb, op.Bucket, op.Kind, op.Key, op.Outcome, op.Bytes))
			if op.Took <= 0 {
				t.Error("it took no time")
			}
		},
	}, map[string]string{"b": "mem://"})
	mustPut(t, c, "b/a", "four")
	_, err := put(t, c, one("r", "b/a\nIf-None-Match: *"), one("c", "more"))
	_, err2 := get(t, c, item("r", 0, "b/a"))
	_, err3 := get(t, c, item("r", 0, "b/b\nMissing: skip"))
	_, err4 := list(t, c, "b/x")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Error(err)
	}
	_, err = get(t, c, item("r", 0, "b/a\nRange: bytes=9-"))
	fails(t, "no byte", err, "no byte")
	want := []string{"put b mem a ok 4", "put b mem a condition 0", "get b mem a ok 4", "get b mem b missing 0", "list b mem x ok 0", "get b mem a failed 0"}
	if !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

// Records have what was done with which blob, in HTTP's words.
func TestOperationsAreSeen(t *testing.T) {
	c := clientOf(t, blobio.Config{
		Limits: blobio.DefaultLimits(), Access: func(string, string) blobio.Access { return blobio.ReadWrite },
	}, map[string]string{"b": "mem://"})
	mustPut(t, c, "b/a", "four")
	for _, step := range []struct {
		function int
		inputs   [][]*data.Item
		want     iofuncs.Exchange
	}{
		{0, [][]*data.Item{one("r", "b/a")}, iofuncs.Exchange{Method: "get", Target: "b/a", Received: 4, Status: 200}},
		{0, [][]*data.Item{one("r", "b/z")}, iofuncs.Exchange{Method: "get", Target: "b/z", Status: 404}},
		{1, [][]*data.Item{one("r", "b/c"), one("c", "content")}, iofuncs.Exchange{Method: "put", Target: "b/c", Sent: 7, Status: 200}},
		{1, [][]*data.Item{one("r", "b/a\nIf-None-Match: *"), one("c", "x")}, iofuncs.Exchange{Method: "put", Target: "b/a", Status: 412}},
		{0, [][]*data.Item{one("r", "b/a\nRange: bytes=9-")}, iofuncs.Exchange{Method: "get", Target: "b/a", Failed: iofuncs.KindFailed}},
		{2, [][]*data.Item{one("r", "b/")}, iofuncs.Exchange{Method: "list", Target: "b/", Status: 200}},
	} {
		var sets []data.Set
		for i, p := range c.Functions()[step.function].Spec().Inputs {
			sets = append(sets, data.Set{Name: p.Name, Items: step.inputs[i]})
		}
		var got []iofuncs.Exchange
		r := iofuncs.NewRequest("default", sets, nil).Watched(iofuncs.TraceID{}, func(e iofuncs.Exchange) {
			if e.Began.IsZero() || e.Ended.Before(e.Began) {
				t.Errorf("from %s to %s", e.Began, e.Ended)
			}
			e.Began, e.Ended = time.Time{}, time.Time{}
			got = append(got, e)
		})
		if _, err := c.Functions()[step.function].Call(t.Context(), r); len(got) != 1 || got[0] != step.want {
			t.Errorf("%+v, want %+v (%v)", got, step.want, err)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]string{
		"file:///var/blobs?prefix=a/b": "", "file://localhost/var/blobs": "", "mem://": "", "s3://b?region=r": "",
		"s3://b?endpoint=http%3A%2F%2F127.0.0.1%3A9000&access-key-env=A&secret-key-env=B": "",
		"":                         "the scheme",
		"/var/blobs":               "the scheme",
		"gs://b":                   "the scheme",
		"file:relative":            "fragment, or no //",
		"file://host/x":            "by its whole path",
		"file:///":                 "by its whole path",
		"file://":                  "by its whole path",
		"mem://x":                  "nothing more",
		"s3://":                    "is not s3://BUCKET",
		"s3://b/x":                 "is not s3://BUCKET",
		"s3://id:hunter2@b":        "it has credentials",
		"s3://b?secret=hunter2":    "there is no parameter",
		"s3://b?region=":           "is empty",
		"s3://b?region=a&region=b": "there twice",
		"s3://b?access-key-env=A":  "need each other",
		"s3://b?endpoint=hunter2":  "endpoint is not",
		"mem://?region=x":          "there is no parameter",
		"mem://?prefix=../x":       "prefix: ",
		"s3://b?%zz=hunter2":       "can't be read",
		"s3://b\x7f hunter2":       "not a URL",
	} {
		_, err := blobio.ParsePlace(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Keys are read one way, and lead nowhere else.
func FuzzRef(f *testing.F) {
	f.Add([]byte("b/d/x\nRange: bytes=0-9\n"))
	f.Add([]byte("b/a\r\nIf-Match: \"0\"\r\nMissing: skip\r\n\r\n"))
	f.Add([]byte("b/../../etc/passwd"))
	f.Add([]byte("b/a\nContent-Type: text/plain\nIf-None-Match: *"))
	f.Add([]byte("b/\nDelimiter: /\nAfter: a\nLimit: 3"))
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, beginnings := blobio.Keys(content)
		for _, key := range keys {
			parts := strings.Split(key, "/")
			if data.CheckItemName(key) != nil || slices.Contains(parts, "") || slices.Contains(parts, ".") || slices.Contains(parts, "..") {
				t.Errorf("%q is a key", key)
			}
		}
		for _, beginning := range beginnings { // of a key: "..", as "..a" has it, but not "../"
			parts := strings.Split(beginning, "/")
			whole := parts[:len(parts)-1]
			if len(beginning) > 1024 || data.CheckItemName(beginning) != nil || slices.Contains(whole, "") || slices.Contains(whole, ".") || slices.Contains(whole, "..") {
				t.Errorf("%q begins a key", beginning)
			}
		}
	})
}
