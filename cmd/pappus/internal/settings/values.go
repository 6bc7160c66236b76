package settings

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pappus/engine"
)

// Value is a place in a configuration and the syntax of what may stand there.
// It is what a flag is bound to.
type Value interface {
	// Type is what help calls values like this.
	Type() string
	// Set reads the text of a flag. To a list or pairs it adds.
	Set(text string) error
	// String is the value as a flag would say it.
	String() string

	reset() // to the default
	content() Content
	form() Form
}

// Form is how a value is written in a file.
type Form int

// The forms. Lists and pairs can also be written as one text, as for a flag.
const (
	Scalar Form = iota
	List
	Pairs
)

// Pair is a named part of a value.
type Pair struct{ Name, Value string }

// Content is a value as it is written. The field for its form is set.
type Content struct {
	Text  string
	List  []string
	Pairs []Pair
}

// String is the text that a flag would have.
func (c Content) String() string {
	switch {
	case c.List != nil:
		return strings.Join(c.List, ",")
	case c.Pairs != nil:
		parts := make([]string, len(c.Pairs))
		for i, p := range c.Pairs {
			parts[i] = p.Name + "=" + p.Value
		}
		return strings.Join(parts, ",")
	}
	return c.Text
}

func (c Content) equal(o Content) bool {
	return c.Text == o.Text && slices.Equal(c.List, o.List) && slices.Equal(c.Pairs, o.Pairs)
}

// scalar is a value that is one text.
type scalar[T comparable] struct {
	to    *T
	def   T
	typ   string
	parse func(string) (T, error)
	show  func(T) string
}

func newScalar[T comparable](to *T, typ string, parse func(string) (T, error), show func(T) string) Value {
	return &scalar[T]{to: to, def: *to, typ: typ, parse: parse, show: show}
}

func (v *scalar[T]) Type() string     { return v.typ }
func (v *scalar[T]) String() string   { return v.show(*v.to) }
func (v *scalar[T]) reset()           { *v.to = v.def }
func (v *scalar[T]) content() Content { return Content{Text: v.String()} }
func (v *scalar[T]) form() Form       { return Scalar }

func (v *scalar[T]) Set(text string) error {
	value, err := v.parse(text)
	if err == nil {
		*v.to = value
	}
	return err
}

// Text is a text that check accepts. It has at least one character, and none
// that a terminal or a file name could not bear.
func Text(to *string, typ string, check func(string) error) Value {
	return newScalar(to, typ, func(text string) (string, error) {
		if err := checkText(text); err != nil {
			return "", err
		}
		return text, check(text)
	}, func(text string) string { return text })
}

func checkText(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty")
	case !utf8.ValidString(text):
		return fmt.Errorf("%.40q is not UTF-8", text)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%.40q has control characters", text)
	}
	return nil
}

// Choice is one of some words.
func Choice(to *string, words ...string) Value {
	return Text(to, "WORD", func(text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("%.40q is not one of %s", text, strings.Join(words, ", "))
		}
		return nil
	})
}

// Bool is true or false.
func Bool(to *bool) Value {
	return newScalar(to, typeBool, func(text string) (bool, error) {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("%.40q is neither true nor false", text)
		}
		return b, nil
	}, strconv.FormatBool)
}

// typeNumber is what help calls whole numbers.
const typeNumber = "NUMBER"

// typeBool is what pflag knows flags by that can stand without a value.
const typeBool = "bool"

// Count is a whole number within bounds.
func Count(to *int, least, most int) Value {
	return newScalar(to, typeNumber, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%.40q is not a whole number", text)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("%d is out of bounds: the least is %d, the most %d", n, least, most)
		}
		return n, nil
	}, strconv.Itoa)
}

// Size is a number of bytes like 64MiB, and not less than the least.
func Size(to *int64, least int64) Value {
	return newScalar(to, "SIZE", func(text string) (int64, error) {
		n, err := engine.ParseBytes(text)
		if err == nil && int64(n) < least {
			err = fmt.Errorf("%s is too little: the least is %s", n, engine.Bytes(least))
		}
		return int64(n), err
	}, func(n int64) string { return engine.Bytes(n).String() })
}

// Time is a duration like 5s, of more than nothing.
func Time(to *time.Duration) Value {
	return newScalar(to, "TIME", func(text string) (time.Duration, error) {
		d, err := engine.ParseDuration(text)
		if err == nil && d == 0 {
			err = errors.New("it must be more than 0")
		}
		return time.Duration(d), err
	}, time.Duration.String)
}

// list is any number of texts, none of them twice.
type list struct {
	to    *[]string
	check func(string) error
}

// Texts is a list of texts, each of which check accepts.
func Texts(to *[]string, check func(string) error) Value { return &list{to: to, check: check} }

func (v *list) Type() string     { return "LIST" }
func (v *list) String() string   { return v.content().String() }
func (v *list) reset()           { *v.to = nil }
func (v *list) content() Content { return Content{List: append([]string{}, *v.to...)} }
func (v *list) form() Form       { return List }

func (v *list) Set(text string) error {
	for element := range strings.SplitSeq(text, ",") {
		if err := v.add(element); err != nil {
			return err
		}
	}
	return nil
}

func (v *list) add(element string) error {
	if err := checkText(element); err != nil {
		return err
	}
	if err := v.check(element); err != nil {
		return err
	}
	if slices.Contains(*v.to, element) {
		return fmt.Errorf("%.80q is there twice", element)
	}
	*v.to = append(*v.to, element)
	return nil
}

// pairs is any number of named texts, no name twice.
type pairs struct {
	undo  func()
	set   func(name, value string) error
	given []Pair
}

// Named is a value of named parts, like memory=64MiB,timeout=2s. set sets one
// of them in the configuration, and undo takes all back.
func Named(undo func(), set func(name, value string) error) Value {
	return &pairs{undo: undo, set: set}
}

func (v *pairs) Type() string     { return "NAME=VALUE" }
func (v *pairs) String() string   { return v.content().String() }
func (v *pairs) content() Content { return Content{Pairs: append([]Pair{}, v.given...)} }
func (v *pairs) form() Form       { return Pairs }

func (v *pairs) reset() {
	v.undo()
	v.given = nil
}

func (v *pairs) Set(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=VALUE", shownName(pair))
		}
		if err := v.add(Pair{name, value}); err != nil {
			return err
		}
	}
	return nil
}

func (v *pairs) add(p Pair) error {
	if slices.ContainsFunc(v.given, func(g Pair) bool { return g.Name == p.Name }) {
		return fmt.Errorf("%s: it is there twice", p.Name)
	}
	if err := v.set(p.Name, p.Value); err != nil {
		return fmt.Errorf("%s: %w", shownName(p.Name), err)
	}
	v.given = append(v.given, p)
	return nil
}

// shownName is as much of a name as looks like one: what was written in its place may
// be a secret.
func shownName(name string) string {
	end := strings.IndexFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '_' && r != '-'
	})
	const most = 40
	if end < 0 {
		end = len(name)
	}
	if end = min(end, most); end < len(name) {
		return strings.ToValidUTF8(name[:end], "") + "…"
	}
	return name
}

// assign gives a value a content of its own form.
func assign(v Value, c Content) error {
	v.reset()
	switch v := v.(type) {
	case *list:
		for _, element := range c.List {
			if err := v.add(element); err != nil {
				return err
			}
		}
		return nil
	case *pairs:
		for _, p := range c.Pairs {
			if err := v.add(p); err != nil {
				return err
			}
		}
		return nil
	}
	return v.Set(c.Text)
}

// Unbounded is the most that a Count can be, where nothing bounds it.
const Unbounded = math.MaxInt32
