package purify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"pappus/engine"
	"pappus/wasmengine/binary"
)

// What the manifest of a program without one says: it is a filter, or reads
// files of the one directory and leaves files in the other.
const defaultManifest = `{"inputs":["stdio","input"],"outputs":["stdio","output"]}`

// The limits that are filled in.
const (
	limitMemory = "memory"
	limitStack  = "stack"
)

// goStack is the stack limit of a function in Go that asks for none, in bytes.
// What Go's compiler makes keeps far more on the machine's stack than it is
// charged for, so that it can't have the platform's default.
const goStack = 512 << 10

// sectionGo is in every module that Go's linker makes.
const sectionGo = "go:buildid"

// readManifest reads what is said of the function.
func (m *merger) readManifest() error {
	text := []byte(defaultManifest)
	own := 0
	for _, c := range m.program.Customs {
		if c.Name == sectionManifest {
			text = c.Payload
			own++
		}
	}
	if own > 1 {
		return refuse("link only one", "the module has %d custom sections %q", own, sectionManifest)
	}
	var err error
	if m.manifest, err = object(text); err != nil {
		return noManifest("", err)
	}
	if m.options.Manifest != nil {
		given, err := object(m.options.Manifest)
		if err != nil {
			return noManifest("", err)
		}
		maps.Copy(m.manifest, given)
	}
	m.limits = map[string]json.RawMessage{}
	if given, ok := m.manifest["limits"]; ok {
		if m.limits, err = object(given); err != nil {
			return noManifest("limits: ", err)
		}
	}
	if given, ok := m.limits[limitMemory]; ok {
		var limit engine.Bytes
		if err := limit.UnmarshalJSON(given); err != nil {
			return refuse(`give a size like "64MiB"`, "manifest: limits: memory: %w", err)
		}
		m.memoryLimit = int64(limit)
	}
	return nil
}

func noManifest(where string, err error) *Error {
	return &Error{Reason: "manifest: " + where + err.Error(), Hint: "give a JSON object", Err: err}
}

// addManifest says how the function's memory is laid out, and what limits it
// needs.
func (m *merger) addManifest() error {
	m.manifest["layout"] = json.RawMessage(`"fixed"`)
	if size := int64(m.pages) * PageSize; m.memoryLimit < size {
		m.limits[limitMemory] = fmt.Appendf(nil, "%d", size)
	}
	_, isGo := m.program.Custom(sectionGo)
	if _, given := m.limits[limitStack]; isGo && !given {
		m.limits[limitStack] = fmt.Appendf(nil, "%d", goStack)
	}
	m.manifest["limits"] = encode(m.limits)
	text := encode(m.manifest)
	if len(text) > engine.MaxManifest {
		return refuse("shorten it", "the manifest has %d bytes; the most is %d", len(text), engine.MaxManifest)
	}
	m.out.Customs = append(m.out.Customs, binary.Custom{Name: sectionManifest, Payload: text})
	return nil
}

// object reads the members of a JSON object, each of which may be there once.
func object(text []byte) (map[string]json.RawMessage, error) {
	if len(text) > engine.MaxManifest {
		return nil, fmt.Errorf("it has %d bytes; the most is %d", len(text), engine.MaxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("it is not a JSON object: %w", err)
		}
		name, _ := t.(string) // names of members are strings
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("it has %.40q twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("it is not a JSON object: %w", err)
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("it is not a JSON object: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return members, nil
}

// encode is the inverse of object, the members in order of their names.
func encode(members map[string]json.RawMessage) []byte {
	b := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b = append(b, ',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			continue // no string is refused
		}
		b = append(append(append(b, quoted...), ':'), members[name]...)
	}
	return append(b, '}')
}
