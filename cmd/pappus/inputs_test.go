package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "1", "sub/two": "2", "sub/deeper/three": "3", "with=sign": "4"} {
		path := filepath.Join(dir, "folder", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for value, want := range map[string]string{
		"set=folder/one":               "set/one@0 1",
		"set/name=folder/one":          "set/name@0 1",
		"set/name@7=folder/one":        "set/name@7 1",
		"set/@7=folder/one":            "set/@7 1",
		"set/=folder/one":              "set/@0 1",
		"set/a/b@1@2=folder/one":       "set/a/b@1@2 1",
		"set/name@@0=folder/one":       "set/name@@0 1",
		"set/name@-1@0=folder/one":     "set/name@-1@0 1",
		"set/logo@2x.png=folder/one":   "set/logo@2x.png@0 1",
		"set/a@example.org=folder/one": "set/a@example.org@0 1",
		"set/name@x=folder/one":        "set/name@x@0 1",
		"set/n@4294967295=folder/one":  "set/n@4294967295 1",
		"set=folder/with=sign":         "set/with=sign@0 4",
		"set=text:a=b":                 "set/body@0 a=b",
		"set=text:":                    "set/body@0 ",
		"set/n=text:x":                 "set/n@0 x",
		"set=-":                        "set/body@0 stdin",
		"set/n@3=-":                    "set/n@3 stdin",
		"set=folder":                   "set/one@0 1, set/sub/deeper/three@0 3, set/sub/two@0 2, set/with=sign@0 4",
		"set=folder/sub":               "set/deeper/three@0 3, set/two@0 2",
	} {
		r := inputReader{stdin: strings.NewReader("stdin")}
		inputs, err := r.parse([]string{value})
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		var got []string
		for _, in := range inputs {
			content, err := in.read()
			if err != nil {
				t.Errorf("%s: %v", value, err)
			}
			if in.size >= 0 && in.size != int64(len(content)) {
				t.Errorf("%s: %d bytes, and not %d", value, len(content), in.size)
			}
			got = append(got, fmt.Sprintf("%s/%s@%d %s", in.set, in.name, in.key, content))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s, want %s", value, text, want)
		}
	}
}

func TestBadInputs(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("folder/\xff", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		values []string
		exit   int
		want   string
	}{
		{[]string{"set"}, exitUsage, "there is no ="},
		{[]string{"=file"}, exitUsage, "is empty"},
		{[]string{"/name=file"}, exitUsage, "is empty"},
		{[]string{"..=file"}, exitUsage, "reserved"},
		{[]string{"se\nt=file"}, exitUsage, "control"},
		{[]string{"set/\x00=file"}, exitUsage, "control"},
		{[]string{"set/\xff=file"}, exitUsage, "UTF-8"},
		{[]string{"set/" + strings.Repeat("n", 1025) + "=file"}, exitUsage, "longer than"},
		{[]string{"set/n@4294967296=file"}, exitUsage, "above 4294967295"},
		{[]string{"set/n@99999999999999999999=file"}, exitUsage, "above 4294967295"},
		{[]string{"set/n@=file"}, exitUsage, `"" is not a key`},
		{[]string{"set/n@-1=file"}, exitUsage, "n@-1@0"},
		{[]string{"set/n@+1=file"}, exitUsage, "is not a key"},
		{[]string{"set/n@1.5=file"}, exitUsage, "is not a key"},
		{[]string{"set/n@1e3=file"}, exitUsage, "is not a key"},
		{[]string{"set/n@0x10=file"}, exitUsage, "is not a key"},
		{[]string{"set/n@1_000=file"}, exitUsage, "is not a key"},
		{[]string{"set/name=folder"}, exitUsage, "is a folder"},
		{[]string{"set=folder"}, exitUsage, "UTF-8"},
		{[]string{"set=nowhere"}, exitFile, "nowhere"},
		{[]string{"set=-", "set=-"}, exitUsage, "only once"},
	} {
		r := inputReader{stdin: strings.NewReader("")}
		_, err := r.parse(c.values)
		if err == nil {
			t.Errorf("%q: no error", c.values)
			continue
		}
		if f := failureOf(err); f.Exit != c.exit || !strings.Contains(f.Message, c.want) || f.Hint == "" {
			t.Errorf("%q: exit code %d, %q, hint %q", c.values, f.Exit, f.Message, f.Hint)
		}
	}
}

// A source is opened once it is read, and closed at its end.
func TestLazyReader(t *testing.T) {
	var opened, closed int
	r := &lazyReader{open: func() (io.ReadCloser, error) {
		opened++
		return closer{strings.NewReader("content"), &closed}, nil
	}}
	if opened != 0 {
		t.Error("it was opened before it was read")
	}
	for range 2 {
		content, err := io.ReadAll(r)
		if err != nil || len(content) > 0 && string(content) != "content" {
			t.Errorf("%q, %v", content, err)
		}
	}
	if opened != 1 || closed != 1 {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
	broken := &lazyReader{open: func() (io.ReadCloser, error) { return nil, os.ErrPermission }}
	for range 2 {
		if _, err := io.ReadAll(broken); !errors.Is(err, os.ErrPermission) {
			t.Error(err)
		}
	}
}

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; return nil }

// With its key behind it, every name can be said.
func TestEveryNameHasAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a@]{0,3}@[-+0-9.ex]{0,4}`)).Draw(t, "name")
		key := rapid.Uint32().Draw(t, "key")
		gotName, gotKey, err := cutKey(fmt.Sprintf("%s@%d", name, key))
		if err != nil || gotName != name || gotKey != key {
			t.Fatalf("%q, %d, %v", gotName, gotKey, err)
		}
	})
}
