package iofuncs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pappus/data"
	"pappus/iofuncs"
)

// files is an I/O function that reads files of one folder.
type files struct{ folder string }

var _ iofuncs.Function = files{}

func (files) Spec() iofuncs.Spec {
	return iofuncs.Spec{
		Name:    "system_ReadFile",
		Inputs:  []iofuncs.Param{{Name: "paths"}},
		Outputs: []iofuncs.Param{{Name: "contents"}},
	}
}

func (f files) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	root, err := os.OpenRoot(f.folder)
	if err != nil {
		return nil, &iofuncs.Error{Kind: iofuncs.KindFailed, Err: err}
	}
	defer root.Close()
	contents := data.Set{Name: "contents"}
	for _, it := range r.Inputs[0].Items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fail := func(err error) error {
			return &iofuncs.Error{Kind: iofuncs.KindFailed, Item: fmt.Sprintf("paths: %q, key %d", it.Name(), it.Key()), Err: err}
		}
		info, err := root.Stat(string(it.Bytes()))
		if err != nil {
			return nil, fail(err)
		}
		if err := r.Charge(info.Size()); err != nil { // before the memory is taken
			return nil, err
		}
		seen := iofuncs.Exchange{Method: "read", Target: string(it.Bytes()), Began: time.Now()}
		content, err := root.ReadFile(string(it.Bytes()))
		if seen.Ended, seen.Received = time.Now(), int64(len(content)); err != nil {
			seen.Failed = iofuncs.KindFailed
		}
		r.Note(seen) // for records, metrics and spans
		if err != nil {
			return nil, fail(err)
		}
		contents.Items = append(contents.Items, data.NewItem(it.Name(), it.Key(), content))
	}
	return []data.Set{contents}, nil
}

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := os.WriteFile(filepath.Join(folder, "greeting"), []byte("hello"), 0o600); err != nil {
		panic(err)
	}
	registry, err := iofuncs.NewRegistry(files{folder}) // for dispatcher.Config
	if err != nil {
		panic(err)
	}
	paths := data.Set{Name: "paths", Items: []*data.Item{data.NewItem("a", 1, []byte("greeting"))}}
	request := iofuncs.NewRequest("default", []data.Set{paths}, nil).Watched(iofuncs.TraceID{}, func(e iofuncs.Exchange) {
		fmt.Println(e.Method, e.Target, e.Received)
	})
	answer, err := registry.Lookup("system_ReadFile").Call(context.Background(), request)
	fmt.Println(answer[0].Name, string(answer[0].Items[0].Bytes()), err)
	paths.Items = []*data.Item{data.NewItem("b", 2, []byte("../secret"))}
	_, err = registry.Lookup("system_ReadFile").Call(context.Background(), iofuncs.NewRequest("default", []data.Set{paths}, nil))
	fmt.Println(err)
	// Output:
	// read greeting 5
	// contents hello <nil>
	// io-failed (paths: "b", key 2): statat ../secret: path escapes from parent
}

type named iofuncs.Spec

func (n named) Spec() iofuncs.Spec { return iofuncs.Spec(n) }
func (named) Call(context.Context, iofuncs.Request) ([]data.Set, error) {
	return nil, nil
}

func TestRegistry(t *testing.T) {
	good, err := iofuncs.NewRegistry(named{Name: "b"}, named{Name: "a", Inputs: []iofuncs.Param{{Name: "x"}}, Outputs: []iofuncs.Param{{Name: "x", Item: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if names := good.Names(); !slices.Equal(names, []string{"a", "b"}) || good.Lookup("a") == nil || good.Lookup("c") != nil {
		t.Errorf("%q", names)
	}
	var none *iofuncs.Registry
	if len(none.Names()) != 0 || none.Lookup("a") != nil {
		t.Error("a nil registry has functions")
	}
	for want, functions := range map[string][]iofuncs.Function{
		"two":          {named{Name: "a"}, named{Name: "a"}},
		"letters":      {named{Name: ""}},
		"to 128":       {named{Name: strings.Repeat("a", 129)}},
		"begin":        {named{Name: "-a"}},
		"digits":       {named{Name: "a b"}},
		"set name":     {named{Name: "a", Inputs: []iofuncs.Param{{Name: "x/y"}}}},
		"twice":        {named{Name: "a", Outputs: []iofuncs.Param{{Name: "x"}, {Name: "x"}}}},
		"on one side":  {named{Name: "a", Outputs: make([]iofuncs.Param, 65)}},
		`function "a:`: {named{Name: "a:b"}},
	} {
		if _, err := iofuncs.NewRegistry(functions...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("refused by the peer")
	err := &iofuncs.Error{Kind: iofuncs.KindFailed, Item: "requests: \"a\", key 1", Detail: "no answer", Err: cause}
	if err.Error() != `io-failed (requests: "a", key 1): no answer: refused by the peer` || !errors.Is(err, cause) {
		t.Error(err)
	}
	full := errors.New("full")
	r := iofuncs.NewRequest("t", nil, func(n int64) error {
		if n > 5 {
			return full
		}
		return nil
	})
	if r.Charge(5) != nil || !errors.Is(r.Charge(6), full) || (iofuncs.Request{}).Charge(1<<60) != nil {
		t.Error("charges are not passed on")
	}
}
