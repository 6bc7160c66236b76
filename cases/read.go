package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// What a case folder holds.
const (
	inFolder  = "in"
	outFolder = "out"
	settings  = "case.json"
	updating  = ".updating" // while it is updated, or if that was ended; not a part of it
)

// Case is a case folder: inputs, and what must come of them.
type Case struct {
	Name     string           // of the folder
	In, Out  []data.Set       // by name; items in key order, and by name within a key
	Limits   engine.Limits    // in place of the function's own, where not zero
	Fault    engine.FaultKind // with which the function must fail; "" if it must not
	ExitCode int32            // of FaultExit
}

// FormError says what is wrong with a case folder.
type FormError struct {
	File   string // or folder, from the folder of all cases
	Reason string
	Hint   string // what to do
	Err    error  // the cause, if any
}

func (e *FormError) Error() string { return e.File + ": " + e.Reason }

// Unwrap gives the cause.
func (e *FormError) Unwrap() error { return e.Err }

// ReadAll reads all cases in a folder, in the order of their names. What is
// wrong with a case is a *FormError; there is at least one case without an error.
func ReadAll(folder fs.FS) ([]*Case, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("read the cases: %w", err)
	}
	var all []*Case
	for _, e := range entries {
		c, err := Read(folder, e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, &FormError{File: ".", Reason: "there are no cases", Hint: "a case is a folder NAME with in/SET/ITEM and out/SET/ITEM"}
	}
	return all, nil
}

// Read reads the case in a folder of that name within a folder of cases. What
// is wrong with it is a *FormError.
func Read(folder fs.FS, name string) (*Case, error) {
	entries, err := fs.ReadDir(folder, name)
	if err != nil {
		return nil, &FormError{File: name, Reason: "is not a folder that can be read", Hint: "keep nothing but cases in the folder of cases", Err: err}
	}
	if len(entries) == 0 {
		return nil, &FormError{File: name, Reason: "the case is empty", Hint: "give it in/SET/ITEM and out/SET/ITEM, or a case.json of {}"}
	}
	for _, e := range entries {
		if n := e.Name(); n != inFolder && n != outFolder && n != settings && n != updating {
			return nil, &FormError{File: path.Join(name, n), Reason: "is no part of a case", Hint: "a case holds in, out and case.json only"}
		}
	}
	c := &Case{Name: name}
	keys, err := c.readSettings(folder)
	if err != nil {
		return nil, err
	}
	if c.In, err = readSets(folder, path.Join(name, inFolder), keys.In); err != nil {
		return nil, err
	}
	if c.Out, err = readSets(folder, path.Join(name, outFolder), keys.Out); err != nil {
		return nil, err
	}
	if c.Fault != "" && len(c.Out) > 0 {
		return nil, &FormError{File: path.Join(name, outFolder), Reason: "a case that must fail has no outputs", Hint: "remove out, or fault and exit_code from case.json"}
	}
	return c, nil
}

// notRegular is what is wrong with what can't be read as a file, or not to its end.
const notRegular = "is not a regular file"

// keys are the keys of items by "SET/ITEM".
type keys struct{ In, Out map[string]uint32 }

// readSettings reads case.json, which may be missing.
func (c *Case) readSettings(folder fs.FS) (k keys, err error) {
	file := path.Join(c.Name, settings)
	info, err := fs.Stat(folder, file) // of what a link leads to
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for somebody who writes
		return k, &FormError{File: file, Reason: notRegular, Hint: "the settings of a case are a file"}
	}
	var text []byte
	if err == nil {
		text, err = fs.ReadFile(folder, file)
	}
	var exit *int32
	if err == nil {
		err = members(text, "", map[string]any{"keys": &k, "limits": (*limits)(&c.Limits), "exit_code": &exit, "fault": &c.Fault})
	}
	if err == nil {
		err = c.Limits.Check(engine.MaxLimits())
	}
	if err != nil {
		return k, &FormError{File: file, Reason: err.Error(), Hint: `it looks like {"keys": {"in": {"SET/ITEM": 7}}, "limits": {"memory": "16MiB"}, "exit_code": 1}, with any of keys, limits, exit_code and fault`, Err: err}
	}
	if c.Fault != "" && !c.Fault.Deterministic() && c.Fault != engine.FaultDeadline {
		return k, &FormError{File: file, Reason: fmt.Sprintf("fault %q is none that a function can end with", c.Fault), Hint: "use one of " + strings.Join(endings(), ", ")}
	}
	if exit != nil && *exit != 0 {
		if c.Fault != "" && c.Fault != engine.FaultExit {
			return k, &FormError{File: file, Reason: fmt.Sprintf("fault %s and exit_code %d exclude each other", c.Fault, *exit), Hint: "give one of them"}
		}
		c.Fault, c.ExitCode = engine.FaultExit, *exit
	} else if c.Fault == engine.FaultExit {
		return k, &FormError{File: file, Reason: "fault exit has no exit code", Hint: "give exit_code"}
	}
	return k, nil
}

// endings are the faults that a case may ask for.
func endings() (list []string) {
	for _, k := range engine.FaultKinds() {
		if k.Deterministic() || k == engine.FaultDeadline {
			list = append(list, string(k))
		}
	}
	return list
}

// UnmarshalJSON reads {"in": {…}, "out": {…}}.
func (k *keys) UnmarshalJSON(text []byte) error {
	return members(text, "keys.", map[string]any{"in": &k.In, "out": &k.Out})
}

// limits are read like engine.Limits, but with nothing unknown.
type limits engine.Limits

// UnmarshalJSON reads {"memory": "16MiB", …}.
func (l *limits) UnmarshalJSON(text []byte) error {
	return members(text, "limits.", map[string]any{
		"memory": &l.Memory, "stack": &l.Stack, "output": &l.Output, "items": &l.Items, "fuel": &l.Fuel, "timeout": &l.Timeout,
	})
}

// members reads an object whose members may be those given, and no others.
func members(text []byte, prefix string, into map[string]any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return fmt.Errorf("it is not an object of JSON: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		to, ok := into[name]
		if !ok {
			return fmt.Errorf("there is no member %.40q; allowed are %s", prefix+name, strings.Join(slices.Sorted(maps.Keys(into)), ", "))
		}
		var typ *json.UnmarshalTypeError
		if err := json.Unmarshal(object[name], to); errors.As(err, &typ) {
			return fmt.Errorf("%s is a %s and should be %s", prefix+name, typ.Value, typ.Type)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// readSets reads SET/ITEM below a folder, which may be missing. Every key must
// be that of an item.
func readSets(folder fs.FS, dir string, keys map[string]uint32) ([]data.Set, error) {
	var sets []data.Set
	entries, err := fs.ReadDir(folder, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &FormError{File: dir, Reason: "is not a folder that can be read", Hint: "items are in " + path.Base(dir) + "/SET/ITEM", Err: err}
	}
	found := map[string]bool{}
	for _, e := range entries {
		s := data.Set{Name: e.Name()}
		if err := data.CheckSetName(s.Name); err != nil {
			return nil, &FormError{File: path.Join(dir, s.Name), Reason: err.Error(), Hint: "rename the folder", Err: err}
		}
		if !e.IsDir() {
			return nil, &FormError{File: path.Join(dir, s.Name), Reason: "is not a folder", Hint: "items are in " + path.Base(dir) + "/SET/ITEM"}
		}
		from := path.Join(dir, s.Name)
		err := fs.WalkDir(folder, from, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name := strings.TrimPrefix(file, from+"/")
			it, err := readItem(folder, file, name, keys[s.Name+"/"+name])
			s.Items = append(s.Items, it)
			found[s.Name+"/"+name] = true
			return err
		})
		if err != nil {
			return nil, err
		}
		s.Order()
		sets = append(sets, s)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if !found[name] {
			return nil, &FormError{File: path.Join(path.Dir(dir), settings), Reason: fmt.Sprintf("keys.%s: there is no item %.100q", path.Base(dir), name), Hint: "name an item that is there, as SET/ITEM"}
		}
	}
	return sets, nil
}

func readItem(folder fs.FS, file, name string, key uint32) (*data.Item, error) {
	if err := data.CheckItemName(name); err != nil {
		return nil, &FormError{File: file, Reason: err.Error(), Hint: "rename the file", Err: err}
	}
	info, err := fs.Stat(folder, file) // of what a link leads to
	if err == nil && !info.Mode().IsRegular() {
		return nil, &FormError{File: file, Reason: notRegular, Hint: "an item is a file"}
	}
	var content []byte
	if err == nil {
		content, err = fs.ReadFile(folder, file)
	}
	if err != nil {
		return nil, &FormError{File: file, Reason: "can't be read: " + err.Error(), Hint: "check that you may read the file", Err: err}
	}
	return data.NewItem(name, key, content), nil
}
