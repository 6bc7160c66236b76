package peer

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// prototype makes a folder as the prototype's source is, and a cargo that builds
// it.
func prototype(t *testing.T) (source string) {
	t.Helper()
	source, tools := t.TempDir(), t.TempDir()
	if err := called(tools, "cargo"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	data := filepath.Join(source, "machine_interface", "tests", "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	cpu := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	for _, name := range []string{"../../../Cargo.toml", "test_elf_mmu_" + cpu + "_matmul", "test_elf_kvm_" + cpu + "_matmul"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte("\x7fELF\xff"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return source
}

// What can't be built or started is left out, and why is said.
func TestPrototypeMissing(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, source string) error
		want  string
	}{
		{"no source", func(_ *testing.T, source string) error { return os.RemoveAll(source) }, "no such file"},
		{"no cargo", func(t *testing.T, _ string) error { t.Setenv("PATH", ""); return nil }, "install Rust"},
		{"it can't be built", func(_ *testing.T, source string) error { return os.Remove(filepath.Join(source, "Cargo.toml")) }, "could not find `Cargo.toml`"},
		{"it ends", func(_ *testing.T, source string) error {
			bin := filepath.Join(source, "target", "release")
			return errors.Join(os.MkdirAll(bin, 0o700), os.WriteFile(filepath.Join(bin, "dandelion_server"), []byte("#!/bin/sh\necho no cores for engines left >&2\nexit 101\n"), 0o700))
		}, "no cores for engines left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Setup{Root: root, Self: os.Args[0], Scratch: t.TempDir(), Dandelion: prototype(t)}
			if err := test.spoil(t, s.Dandelion); err != nil {
				t.Fatal(err)
			}
			_, err := (&dandelion{s}).Start(t.Context(), 1)
			if !errors.Is(err, ErrSkipped) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want that it is skipped: %s", err, test.want)
			}
		})
	}
}

// The prototype takes these types of values and no others.
func TestInvocationTypes(t *testing.T) {
	raw := bson.Raw(invocation("f", []byte{1, 2, 3}))
	for _, part := range []struct {
		path []string
		want bson.Type
	}{
		{[]string{"name"}, bson.TypeString},
		{[]string{"sets"}, bson.TypeArray},
		{[]string{"sets", "0"}, bson.TypeEmbeddedDocument},
		{[]string{"sets", "0", "identifier"}, bson.TypeString},
		{[]string{"sets", "0", "items"}, bson.TypeArray},
		{[]string{"sets", "0", "items", "0", "identifier"}, bson.TypeString},
		{[]string{"sets", "0", "items", "0", "key"}, bson.TypeInt64},
		{[]string{"sets", "0", "items", "0", "data"}, bson.TypeBinary},
	} {
		if v, err := raw.LookupErr(part.path...); err != nil || v.Type != part.want {
			t.Errorf("%v is of type %v, %v, want %v", part.path, v.Type, err, part.want)
		}
	}
}

func TestCheckAnswer(t *testing.T) {
	const rows = 3
	data, err := multiply(matrix(rows))
	if err != nil {
		t.Fatal(err)
	}
	good := encode(document{Sets: []set{{"OutMats", []item{{Data: data}}}}})
	check := checkAnswer(rows)
	if err := check(good); err != nil {
		t.Error(err)
	}
	data[len(data)-1]++
	for name, answer := range map[string][]byte{
		"another product": encode(document{Sets: []set{{"OutMats", []item{{Data: data}}}}}),
		"no item":         encode(document{Sets: []set{{"OutMats", nil}}}),
		"no set":          encode(document{}),
		"half of it":      good[:len(good)/2],
		"no document":     []byte("Hello, World\n"),
		"nothing":         nil,
	} {
		if err := check(answer); !errors.Is(err, errAnswer) {
			t.Errorf("%s: got %v, want %v", name, err, errAnswer)
		}
	}
	if got, err := multiply(matrix(rows)); err != nil || string(got) != string(product(rows)) {
		t.Errorf("the product of %d rows differs, %v", rows, err)
	}
}

func FuzzCheckAnswer(f *testing.F) {
	f.Add(encode(document{Sets: []set{{"OutMats", []item{{Data: product(2)}}}}}))
	f.Add([]byte("Hello, World\n"))
	f.Add([]byte{5, 0, 0, 0, 0})
	check := checkAnswer(2)
	f.Fuzz(func(t *testing.T, answer []byte) {
		if err := check(answer); err != nil && !errors.Is(err, errAnswer) {
			t.Errorf("got %v, want %v", err, errAnswer)
		}
	})
}
