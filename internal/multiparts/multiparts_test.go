package multiparts_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pappus/internal/multiparts"
)

// read reads a body to its end and returns the contents of its parts.
func read(body io.Reader, boundary string) (parts []string, err error) {
	r := multiparts.NewReader(body, boundary)
	for {
		part, err := r.Next()
		if err == io.EOF { //nolint:errorlint // it must come as it is
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return parts, err
		}
		parts = append(parts, string(content))
	}
}

// sources are ways to hand a body out.
var sources = map[string]func(io.Reader) io.Reader{
	"at once":           func(r io.Reader) io.Reader { return r },
	"byte by byte":      iotest.OneByteReader,
	"with the last one": iotest.DataErrReader,
}

// A body is whole from the end of its closing boundary on, and at no earlier byte.
func TestEveryCut(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for _, c := range []struct {
		boundary, body string
		after          []string
	}{
		{"b", "--b\r\nA: x\r\n\r\none\r\n--b\r\nA: y\r\n\r\n" + long + "\r\n--b--", []string{"", "\r\n", "\r\nafterword", "\r\n" + long, " \t", " \t\r\n"}},
		{"b", "before\r\n--b\r\n\r\none\r\n--b\r\n\r\n\r\n--b--", []string{"", "\r\n"}},
		{"b", "--b\n\none\n--b\n\ntwo\r\n--b--", []string{"", "\n"}},
		{"b", "--b--", []string{"", "\r\n"}},
		{"a:b", "--a:b\r\nA: x\r\n\r\none\r\n--a:b\r\n\r\ntwo\r\n--a:b--", []string{"", "\r\n"}}, // reads like a header
	} {
		whole, err := read(strings.NewReader(c.body), c.boundary)
		if err != nil {
			t.Fatal(err)
		}
		for name, source := range sources {
			for n := 0; n < len(c.body); n++ {
				if n == 100 {
					n = max(n, len(c.body)-100)
				}
				if parts, err := read(source(strings.NewReader(c.body[:n])), c.boundary); err == nil || len(parts) > len(whole) {
					t.Errorf("%s, %.200q: %.100q, %v", name, c.body[:n], parts, err)
				}
			}
			for _, after := range c.after {
				if parts, err := read(source(strings.NewReader(c.body+after)), c.boundary); err != nil || fmt.Sprint(parts) != fmt.Sprint(whole) {
					t.Errorf("%s, %.200q and %.20q: %.100q, %v", name, c.body, after, parts, err)
				}
			}
		}
	}
}

// What is cut says so.
func TestCut(t *testing.T) {
	const part = "--b\r\nA: x\r\n\r\none\r\n"
	for _, body := range []string{"", "before", part, part + "--b", part + "--b\r\n", part + "--b\r\nA: x\r\n", part + "--b\r\nA: x\r\n--b--", part + "--b\r\n\r\ntw", "--b\r\n"} {
		body, boundary := strings.ReplaceAll(body, "--b", "--a:b"), "a:b"
		for name, source := range sources {
			if parts, err := read(source(strings.NewReader(body)), boundary); !errors.Is(err, multiparts.ErrCut) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %q: %q, %v", name, body, parts, err)
			}
		}
	}
}

// What the source of a body fails with is passed on, and is no end.
func TestSourceFails(t *testing.T) {
	const body = "--b\r\nA: x\r\n\r\none\r\n--b--"
	for _, failure := range []error{errors.New("failure"), fmt.Errorf("failure: %w", io.EOF)} {
		for n := range len(body) {
			r := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(failure))
			if parts, err := read(r, "b"); err == nil || n == 0 && !errors.Is(err, failure) {
				t.Errorf("%q: %q, %v", body[:n], parts, err)
			}
		}
	}
}

// Also a part that nobody reads must have its end.
func TestCutPartIsSkipped(t *testing.T) {
	for _, rest := range []string{"", "\r\n--", "\n--b--"} { // the last is content where lines end with \r\n
		r := multiparts.NewReader(strings.NewReader("--b\r\nA: x\r\n\r\none"+rest), "b")
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); !errors.Is(err, multiparts.ErrCut) {
			t.Errorf("%q: %v", rest, err)
		}
	}
}
