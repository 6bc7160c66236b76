package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the size of the largest file, in bytes.
const MaxFile = 1 << 20

// File is a configuration file that was read. What is wrong with it is told by
// Set.Load, together with everything else.
type File struct {
	Name    string
	entries []entry
	errs    Errors
}

// entry is a key of the file with what it says.
type entry struct {
	key, value *yaml.Node
}

// Read reads a file. Errors are those of the file system, or say that the file
// is none, or too large.
func Read(path string) (*File, error) {
	info, err := os.Stat(path) // opening a pipe would wait for its other end
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is larger than 1MiB, which no configuration is")}
	}
	return Parse(path, text), nil
}

// Parse reads the content of a file of that name.
func Parse(name string, text []byte) *File {
	f := &File{Name: name}
	if bad := invalid(text); bad >= 0 {
		before := text[:bad]
		line := bytes.Count(before, []byte{'\n'})
		column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
		f.fail(line+1, column+1, "", "it is not UTF-8", "save it in that encoding")
		return f
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) {
			f.malformed(err)
		}
		return f
	}
	f.add(document.Content[0])
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		f.fail(second.Line, second.Column, "", "there is a second document", "put all settings into the first and leave out what follows ---")
	case !errors.Is(err, io.EOF):
		f.malformed(err)
	}
	return f
}

// invalid is where text stops being UTF-8; -1: nowhere.
func invalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func (f *File) fail(line, column int, key, message, hint string) {
	f.errs = append(f.errs, &Error{File: f.Name, Line: line, Column: column, Key: printable(key), Message: message, Hint: hint})
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// malformed notes what the parser of YAML says.
func (f *File) malformed(err error) {
	message, line := err.Error(), 0
	if m := syntaxError.FindStringSubmatch(message); m != nil {
		message = message[len(m[0]):]
		line, _ = strconv.Atoi(m[1]) // 0 where there is none
	}
	f.fail(line, 0, "", "it is not YAML: "+message, "write lines like max-body: 64MiB, and quote values that have special characters")
}

// add takes the keys out of the document, which must be a mapping.
func (f *File) add(root *yaml.Node) {
	if isNull(root) {
		return // only comments
	}
	if root.Kind != yaml.MappingNode {
		f.fail(root.Line, root.Column, "", "it is "+kindOf(root)+" and not settings by name", "write lines like max-body: 64MiB")
		return
	}
	if !f.plain(root, "") {
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			f.fail(key.Line, key.Column, "", kindOf(key)+" can't be the name of a setting", "write lines like max-body: 64MiB")
			continue
		}
		if !f.plain(key, key.Value) {
			continue
		}
		if first, ok := seen[key.Value]; ok {
			f.fail(key.Line, key.Column, clip(key.Value), "it is there twice, first in line "+strconv.Itoa(first), "leave one of them")
			continue
		}
		seen[key.Value] = key.Line
		f.entries = append(f.entries, entry{key, value})
	}
}

// plain tells whether a node is written without what a configuration does not
// need: aliases can make a small file large, and tags change what a text means.
func (f *File) plain(n *yaml.Node, key string) bool {
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		f.fail(n.Line, n.Column, clip(key), "anchors and aliases are not supported", "write the value itself")
	case n.Style&yaml.TaggedStyle != 0:
		f.fail(n.Line, n.Column, clip(key), "tags are not supported", "leave out "+clip(n.Tag))
	default:
		return true
	}
	return false
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 && n.Tag == "!!null"
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return "a single value"
}

// clip shortens what a message quotes.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// loadFile sets settings from a file.
func (s *Set) loadFile(f *File) Errors {
	r := &File{Name: f.Name, errs: append(Errors{}, f.errs...)}
	for _, e := range f.entries {
		name := e.key.Value
		setting := s.byName[name]
		if setting == nil {
			r.fail(e.key.Line, e.key.Column, clip(name), "there is no such setting", s.meant(name))
			continue
		}
		setting.place = Place{Kind: FromFile, File: f.Name, Line: e.key.Line}
		r.load(setting, e.value)
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return r.errs
}

func (s *Set) meant(name string) string {
	if name == "config" {
		return "a file can't name another one"
	}
	if meant, ok := s.Meant(name); ok {
		return "did you mean " + meant + "?"
	}
	return "docs/configuration.md lists all"
}

// load sets one setting from its node, noting mistakes.
func (f *File) load(setting *Setting, n *yaml.Node) {
	name := setting.Name
	bad := func(n *yaml.Node, err error) {
		if err != nil {
			f.fail(n.Line, n.Column, name, err.Error(), "write it like "+setting.example())
		}
	}
	if !f.plain(n, name) {
		return
	}
	v := setting.Value
	switch list, pairs := asList(v), asPairs(v); {
	case n.Kind == yaml.ScalarNode:
		if text, ok := f.text(n, name); ok {
			bad(n, v.Set(text))
		}
	case n.Kind == yaml.SequenceNode && list != nil:
		for _, element := range n.Content {
			if text, ok := f.text(element, name); ok {
				bad(element, list.add(text))
			}
		}
	case n.Kind == yaml.MappingNode && pairs != nil:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, ok := f.text(n.Content[i], name)
			if !ok {
				continue
			}
			if value, ok := f.text(n.Content[i+1], name); ok {
				bad(n.Content[i], pairs.add(Pair{key, value}))
			}
		}
	default:
		bad(n, fmt.Errorf("it is %s", kindOf(n)))
	}
}

// text is that of a node which must be a single value.
func (f *File) text(n *yaml.Node, key string) (string, bool) {
	switch {
	case !f.plain(n, key):
	case n.Kind != yaml.ScalarNode:
		f.fail(n.Line, n.Column, key, kindOf(n)+" can't stand here", "write a single value")
	case isNull(n):
		f.fail(n.Line, n.Column, key, "there is no value", "write one, or leave out the line to get the default")
	default:
		return n.Value, true
	}
	return "", false
}

func asList(v Value) *list {
	l, _ := v.(*list)
	return l
}

func asPairs(v Value) *pairs {
	p, _ := v.(*pairs)
	return p
}
