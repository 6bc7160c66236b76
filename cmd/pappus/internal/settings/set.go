package settings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"pappus/internal/suggest"
)

// Setting is a named value of a configuration.
type Setting struct {
	Name  string // of the flag and of the key in a file; in lower case, with dashes
	Usage string // what it does, in a few words
	Value Value  // which has its default when the setting is made

	Computed string // what the default is, where it is no value that could be written: a scalar that is found out when the server starts
	Example  string // a value, as a flag would say it; needed where the default is none
	Live     bool   // a running server can take another value

	place Place
	def   Content
	shown *Content // instead of the value's own, if it was found out since
	whole []Pair   // of pairs: all that hold, also those that nobody set
}

// Variable is the name of the variable for the setting.
func (s *Setting) Variable() string { return Variable(s.Name) }

// Place is where the value came from.
func (s *Setting) Place() Place { return s.place }

// Content is the value as it is written. One that is to be found out, and was
// not, is empty.
func (s *Setting) Content() Content {
	switch {
	case s.shown != nil:
		return *s.shown
	case s.Computed != "" && s.place.Kind == FromDefault && s.Value.form() == Scalar:
		return Content{}
	}
	return s.Value.content()
}

// Prefix begins the variables for settings.
const Prefix = "PAPPUS_"

// Variable is the variable for a name: PAPPUS_MAX_BODY for max-body.
func Variable(name string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// PlaceKind says what kind of place a value came from.
type PlaceKind string

// The kinds of places, the weakest first.
const (
	FromDefault  PlaceKind = "default"
	FromFile     PlaceKind = "file"
	FromVariable PlaceKind = "variable"
	FromFlag     PlaceKind = "flag"
)

// Place is where a value came from.
type Place struct {
	Kind   PlaceKind `json:"from"`
	Name   string    `json:"name,omitempty"` // of the variable or flag
	File   string    `json:"file,omitempty"`
	Line   int       `json:"line,omitempty"`
	Column int       `json:"column,omitempty"`
}

// String is the name of the place, with the line and column of a file.
func (p Place) String() string {
	switch p.Kind {
	case FromFile:
		text := printable(p.File)
		if p.Line > 0 {
			text += ":" + strconv.Itoa(p.Line)
		}
		if p.Column > 0 {
			text += ":" + strconv.Itoa(p.Column)
		}
		return text
	case FromVariable, FromFlag:
		return p.Name
	}
	return string(p.Kind)
}

// printable quotes a text that would not stay on its line.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// Set is all settings of one configuration, in the order in which they are
// shown.
type Set struct {
	all    []*Setting
	byName map[string]*Setting
}

// New makes a set of settings whose names differ.
func New(all ...Setting) *Set {
	s := &Set{byName: make(map[string]*Setting, len(all))}
	for i := range all {
		setting := &all[i]
		setting.place.Kind = FromDefault
		setting.def = setting.Content()
		s.all = append(s.all, setting)
		s.byName[setting.Name] = setting
	}
	return s
}

// All lists the settings.
func (s *Set) All() []*Setting { return s.all }

// Lookup finds a setting, or returns nil.
func (s *Set) Lookup(name string) *Setting { return s.byName[name] }

func (s *Set) names() []string {
	names := make([]string, len(s.all))
	for i, setting := range s.all {
		names[i] = setting.Name
	}
	return names
}

// Given is what flags say: for each that is there, its texts in order.
type Given map[string][]string

// Bind makes a flag for each setting. What the flags say is noted in the result
// when they are parsed, for Load.
func (s *Set) Bind(flags *pflag.FlagSet) Given {
	given := make(Given)
	for _, setting := range s.all {
		usage := setting.Usage
		if setting.Computed != "" {
			usage += " (default: " + setting.Computed + ")"
		}
		f := flags.VarPF(&flag{Value: setting.Value, setting: setting, given: given}, setting.Name, "", usage)
		if setting.Value.Type() == typeBool {
			f.NoOptDefVal = "true"
		}
	}
	return given
}

// flag notes what it is given, beside setting the value.
type flag struct {
	Value
	setting *Setting
	given   Given
}

var _ pflag.Value = (*flag)(nil)

func (f *flag) Set(text string) error {
	if err := f.Value.Set(text); err != nil {
		return err
	}
	f.given[f.setting.Name] = append(f.given[f.setting.Name], text)
	return nil
}

// String is the value; none for one that is to be found out.
func (f *flag) String() string {
	if f.setting == nil || f.Value.form() == Scalar && f.setting.def.Text == "" && len(f.given[f.setting.Name]) == 0 {
		return ""
	}
	return f.Value.String()
}

// Sources is where a configuration is read from.
type Sources struct {
	Flags   Given
	Environ []string // "NAME=VALUE"
	Others  []string // names, as of settings, whose variables are for something else
	File    *File    // nil: none
}

// Load sets all settings from their sources, and those that are in none to
// their defaults. The error is Errors with every mistake in any of them, also
// where another source wins; the values of the settings that these name (Key)
// are of no use then.
func (s *Set) Load(from Sources) error {
	for _, setting := range s.all {
		setting.Value.reset()
		setting.place, setting.shown, setting.whole = Place{Kind: FromDefault}, nil, nil
	}
	var errs Errors
	if from.File != nil {
		errs = append(errs, s.loadFile(from.File)...)
	}
	errs = append(errs, s.loadVariables(from.Environ, from.Others)...)
	for _, name := range slices.Sorted(maps.Keys(from.Flags)) {
		errs = append(errs, s.loadFlag(name, from.Flags[name])...)
	}
	return errs.orNil()
}

// orchestrators matches what Kubernetes, for one, puts behind the name of a
// service in the variables that tell where it is.
var orchestrators = regexp.MustCompile(`(^|_)(PORT(_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)?|SERVICE_(HOST|PORT(_.*)?))$`)

func (s *Set) loadVariables(environ, others []string) (errs Errors) {
	known := append(s.names(), others...)
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		variable, text, _ := strings.Cut(entry, "=")
		suffix, ours := strings.CutPrefix(variable, Prefix)
		if !ours || text == "" {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(suffix, "_", "-"))
		setting := s.byName[name]
		switch {
		case setting != nil && variable == setting.Variable():
			setting.Value.reset()
			setting.place = Place{Kind: FromVariable, Name: variable}
			if err := setting.Value.Set(text); err != nil {
				errs = append(errs, &Error{Variable: variable, Key: name, Message: err.Error(), Hint: "correct or unset the variable"})
			}
		case slices.Contains(others, name), orchestrators.MatchString(suffix):
		default:
			// What is not close to anything is somebody else's.
			if meant, ok := suggest.Closest(name, known); ok {
				errs = append(errs, &Error{
					Variable: printable(variable), Message: "there is no such variable",
					Hint: "did you mean " + Variable(meant) + "?",
				})
			}
		}
	}
	return errs
}

func (s *Set) loadFlag(name string, texts []string) (errs Errors) {
	setting := s.byName[name]
	if setting == nil {
		return Errors{{Flag: "--" + name, Message: "there is no such setting"}}
	}
	setting.Value.reset()
	setting.place = Place{Kind: FromFlag, Name: "--" + name}
	for _, text := range texts {
		if err := setting.Value.Set(text); err != nil {
			errs = append(errs, &Error{Flag: "--" + name, Key: name, Message: err.Error(), Hint: "correct the flag"})
		}
	}
	return errs
}

// Show has a setting that is to be found out shown as what it was found to be.
// It does nothing to one that has a value.
func (s *Set) Show(name, text string) {
	if setting := s.byName[name]; setting != nil && setting.Computed != "" && setting.place.Kind == FromDefault {
		setting.shown = &Content{Text: text}
	}
}

// ShowAll has a value of named parts shown with all parts that hold, beside
// those that are set.
func (s *Set) ShowAll(name string, parts []Pair) {
	if setting := s.byName[name]; setting != nil && setting.Value.form() == Pairs {
		setting.whole = parts
	}
}

// Meant is the setting that a wrong name is most likely to stand for.
func (s *Set) Meant(name string) (string, bool) {
	return suggest.Closest(strings.ReplaceAll(name, "_", "-"), s.names())
}

// Merge sets all settings to what they are in two other sets over settings of
// the same names: those that can change while a server runs as in wanted, the
// others as in running.
func (s *Set) Merge(running, wanted *Set) error {
	for _, setting := range s.all {
		from := running
		if setting.Live {
			from = wanted
		}
		other := from.byName[setting.Name]
		setting.Value.reset()
		setting.place = other.place
		if other.place.Kind == FromDefault {
			continue
		}
		if err := assign(setting.Value, other.Value.content()); err != nil {
			return fmt.Errorf("%s: %w", setting.Name, err)
		}
	}
	return nil
}

// Change is a setting that differs between two sets.
type Change struct {
	Setting  *Setting
	Old, New string // as a flag would say it
}

// Changes lists how the settings of another set, over the same names, differ
// from those of s.
func (s *Set) Changes(other *Set) (changes []Change) {
	for _, before := range s.all {
		after := other.byName[before.Name]
		if a, b := before.Content(), after.Content(); !a.equal(b) {
			changes = append(changes, Change{Setting: after, Old: before.describe(a), New: after.describe(b)})
		}
	}
	return changes
}

func (s *Setting) describe(c Content) string {
	if text := c.String(); text != "" {
		return text
	}
	if s.Computed != "" {
		return s.Computed
	}
	return "none"
}
