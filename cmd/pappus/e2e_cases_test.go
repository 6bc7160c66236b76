package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pappus/cases"
	"pappus/client"
	"pappus/data"
	"pappus/samples"
)

// Every case of every sample gives what its folder says: over HTTP in all
// three forms of bodies and answers, and by the command line with and without
// a server.
func TestCases(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	folders, err := fs.Glob(samples.Files(), "*/cases/*")
	if err != nil || len(folders) < 30 {
		t.Fatalf("%d cases (%v)", len(folders), err)
	}
	for _, folder := range folders {
		name, _, _ := strings.Cut(folder, "/")
		if _, err := fs.Stat(samples.Files(), path.Join(name, name+".wasm")); err != nil && !isComposition(name) {
			continue // of a large sample, in another language, which package samples tests
		}
		t.Run(folder, func(t *testing.T) {
			dir, err := fs.Sub(samples.Files(), path.Dir(folder))
			if err != nil {
				t.Fatal(err)
			}
			c, err := cases.Read(dir, path.Base(folder))
			if err != nil {
				t.Fatal(err)
			}
			if isComposition(name) {
				p.pushComposition(t, name)
				runCase(t, p, folder, c, name, []string{"invoke", name})
				return
			}
			runFunctionCase(t, p, name, folder, c)
		})
	}
}

func runFunctionCase(t *testing.T, p *process, name, folder string, c *cases.Case) {
	memory, timeout := "", ""
	if c.Limits.Memory > 0 {
		memory = c.Limits.Memory.String()
	}
	if c.Limits.Timeout > 0 {
		timeout = c.Limits.Timeout.String()
	}
	f, err := p.push(name, sample(t, name), client.PutOptions{Memory: memory, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	ref := fmt.Sprintf("%s@%d", name, f.Version)
	local := []string{"run", filepath.Join("../../samples", name, name+".wasm")}
	if memory != "" {
		local = append(local, "--memory", memory)
	}
	runCase(t, p, folder, c, ref, []string{"invoke", ref}, local)
}

// runCase runs a case by HTTP and by the beginnings of commands.
func runCase(t *testing.T, p *process, folder string, c *cases.Case, ref string, verbs ...[]string) {
	end := c.End()
	in, want := tree(c.In), tree(c.Out)
	for _, accept := range []string{client.TypeMultipart, client.TypeJSON, ""} {
		for _, body := range []client.Body{multipartBody(t, in), jsonBody(t, in)} {
			got, gotEnd := p.call(t, ref, client.Invocation{Body: body, Accept: accept})
			if gotEnd != end {
				t.Fatalf("it ended with %q, want %q", gotEnd, end)
			}
			if accept == "" && len(want) == 1 { // a raw answer has no names
				got = renamed(got, want)
			}
			if end == "ok" && !maps.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("answer %q: %q, want %q", accept, got, want)
			}
		}
	}
	var args []string
	for set := range sets(in) {
		args = append(args, "--in", set+"="+filepath.Join("../../samples", folder, "in", set))
	}
	for _, verb := range verbs {
		out := t.TempDir()
		r := command(t.Context(), t, p.url, slices.Concat(verb, args, []string{"--out", out})...)
		if (r.exit == 0) != (end == "ok") {
			t.Errorf("%s: exit code %d, want %q\n%s", verb, r.exit, end, r.stderr)
		}
		if got := treeOf(t, os.DirFS(out), "."); end == "ok" && !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: %q, want %q", verb, got, want)
		}
	}
}

// tree is sets as their files, by "SET/ITEM".
func tree(sets []data.Set) map[string][]byte {
	files := map[string][]byte{}
	for _, s := range sets {
		for _, it := range s.Items {
			files[s.Name+"/"+it.Name()] = it.Bytes()
		}
	}
	return files
}

// treeOf reads SET/ITEM files below a folder, which may be missing.
func treeOf(t *testing.T, fsys fs.FS, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	if _, err := fs.Stat(fsys, dir); errors.Is(err, fs.ErrNotExist) {
		return files
	}
	err := fs.WalkDir(fsys, dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, file)
		files[strings.TrimPrefix(strings.TrimPrefix(file, dir), "/")] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sets(tree map[string][]byte) map[string][]client.Item {
	list := map[string][]client.Item{}
	for _, file := range slices.Sorted(maps.Keys(tree)) {
		set, name, _ := strings.Cut(file, "/")
		list[set] = append(list[set], client.Item{Set: set, Name: name, Body: bytes.NewReader(tree[file]), Size: int64(len(tree[file]))})
	}
	return list
}

func multipartBody(t *testing.T, tree map[string][]byte) client.Body {
	t.Helper()
	if len(tree) == 0 {
		return jsonBody(t, tree)
	}
	body, err := client.ItemsBody(slices.Concat(slices.Collect(maps.Values(sets(tree)))...))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func jsonBody(t *testing.T, tree map[string][]byte) client.Body {
	t.Helper()
	type item struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	inputs := map[string][]item{}
	for _, file := range slices.Sorted(maps.Keys(tree)) {
		set, name, _ := strings.Cut(file, "/")
		content := tree[file]
		if content == nil {
			content = []byte{}
		}
		inputs[set] = append(inputs[set], item{name, content})
	}
	text, err := json.Marshal(map[string]any{"inputs": inputs})
	if err != nil {
		t.Fatal(err)
	}
	return client.BytesBody(text, client.TypeJSON)
}

// call invokes a function and returns its outputs as a tree.
func (p *process) call(t *testing.T, name string, inv client.Invocation) (outputs map[string][]byte, end string) {
	t.Helper()
	answer, err := p.client.Invoke(t.Context(), name, inv)
	var refused *client.Problem
	if errors.As(err, &refused) {
		return nil, ending(refused.Code(), refused.ExitCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	outputs = map[string][]byte{}
	if answer.Type != client.TypeMultipart && answer.Type != client.TypeJSON {
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Type != "" { // else there is no content: 204
			outputs["raw"] = content
		}
		return outputs, "ok"
	}
	for o, err := range answer.Items() {
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(o.Body)
		if err != nil {
			t.Fatal(err)
		}
		outputs[path.Join(o.Set, o.Name)] = content
	}
	return outputs, "ok"
}

// renamed gives what a raw answer holds the name of the only item of want.
func renamed(got, want map[string][]byte) map[string][]byte {
	for name := range want {
		return map[string][]byte{name: got["raw"]}
	}
	return got
}
