package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// YAML is a file that sets everything as it is set now, each setting with what
// it does, its default, and where its value came from. Reading it gives the
// same configuration again.
func (s *Set) YAML() []byte {
	var b bytes.Buffer
	for i, setting := range s.all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n# default: %s", setting.Usage, setting.defaultText())
		if setting.place.Kind != FromDefault {
			fmt.Fprintf(&b, "; set by %s", setting.place)
		}
		b.WriteByte('\n')
		if len(setting.whole) > 0 {
			fmt.Fprintf(&b, "# in force: %s\n", Content{Pairs: setting.whole})
		}
		c := setting.Content()
		if setting.Value.form() == Scalar && c.Text == "" {
			if setting.Computed != "" {
				b.WriteString("# not known before the server starts\n") // see Show
			} else {
				b.WriteString("# not set\n")
			}
			continue
		}
		b.WriteString(yamlOf(setting.Name, c))
	}
	return b.Bytes()
}

// Template is a file in which all settings are commented out, with their
// defaults, or examples where there is no default that could be written.
func (s *Set) Template() []byte {
	var b bytes.Buffer
	for i, setting := range s.all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n# default: %s", setting.Usage, setting.defaultText())
		if setting.Example != "" {
			b.WriteString("; an example:")
		}
		b.WriteByte('\n')
		for line := range strings.Lines(setting.example()) {
			b.WriteString("#" + line)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// defaultText is the default in words.
func (s *Setting) defaultText() string { return s.describe(s.def) }

// example is a line of a file that sets s, without the line end.
func (s *Setting) example() string {
	c := s.def
	switch s.Value.form() {
	case List:
		if s.Example != "" {
			c = Content{List: strings.Split(s.Example, ",")}
		}
	case Pairs:
		if s.Example != "" {
			var parts []string
			for part := range strings.SplitSeq(s.Example, ",") {
				parts = append(parts, strings.Replace(part, "=", ": ", 1))
			}
			return s.Name + ": {" + strings.Join(parts, ", ") + "}"
		}
	default:
		if s.Example != "" {
			c = Content{Text: s.Example}
		}
	}
	if len(c.List) > 0 {
		for i, element := range c.List {
			c.List[i] = scalarOf(element)
		}
		return s.Name + ": [" + strings.Join(c.List, ", ") + "]"
	}
	return strings.TrimSuffix(yamlOf(s.Name, c), "\n")
}

// yamlOf is a key and its value.
func yamlOf(name string, c Content) string {
	var b strings.Builder
	switch {
	case len(c.List) > 0:
		b.WriteString(name + ":\n")
		for _, element := range c.List {
			b.WriteString("  - " + scalarOf(element) + "\n")
		}
	case len(c.Pairs) > 0:
		b.WriteString(name + ":\n")
		for _, p := range c.Pairs {
			b.WriteString("  " + scalarOf(p.Name) + ": " + scalarOf(p.Value) + "\n")
		}
	case c.List != nil:
		b.WriteString(name + ": []\n")
	case c.Pairs != nil:
		b.WriteString(name + ": {}\n")
	default:
		b.WriteString(name + ": " + scalarOf(c.Text) + "\n")
	}
	return b.String()
}

// plainScalar matches texts that mean themselves in YAML, and no number, list
// or comment, whatever stands around them.
var plainScalar = regexp.MustCompile(`^[A-Za-z0-9/]([A-Za-z0-9./:@_+-]*[A-Za-z0-9/._+-])?$`)

func scalarOf(text string) string {
	if plainScalar.MatchString(text) && !strings.EqualFold(text, "null") {
		return text
	}
	return quote(text)
}

// quote is text, which is UTF-8, as YAML quotes it.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// jsonSetting is a setting for scripts.
type jsonSetting struct {
	Name     string `json:"name"`
	Value    any    `json:"value"`              // a number, a boolean, a text (sizes and times too), a list of texts, or texts by name; null: not known before the server starts
	Default  any    `json:"default"`            // the same
	InForce  any    `json:"in_force,omitempty"` // texts by name: all parts that hold, also those that are not set
	Computed string `json:"computed,omitempty"`
	Place
	Usage    string `json:"description"`
	Variable string `json:"variable"`
	Live     bool   `json:"reloadable"`
}

// JSON is all settings for scripts, on lines of their own.
func (s *Set) JSON() ([]byte, error) {
	all := make([]jsonSetting, len(s.all))
	for i, setting := range s.all {
		all[i] = jsonSetting{
			Name: setting.Name, Value: setting.json(setting.Content()), Default: setting.json(setting.def), Computed: setting.Computed,
			Place: setting.place, Usage: setting.Usage, Variable: setting.Variable(), Live: setting.Live,
		}
	}
	for i, setting := range s.all {
		if len(setting.whole) > 0 {
			all[i].InForce = setting.json(Content{Pairs: setting.whole})
		}
	}
	text, err := json.MarshalIndent(map[string]any{"settings": all}, "", "  ")
	return append(text, '\n'), err
}

// json is a content with the type that it has in JSON.
func (s *Setting) json(c Content) any {
	switch {
	case c.List != nil:
		return c.List
	case c.Pairs != nil:
		named := make(map[string]string, len(c.Pairs))
		for _, p := range c.Pairs {
			named[p.Name] = p.Value
		}
		return named
	case c.Text == "":
		return nil
	}
	switch s.Value.Type() {
	case typeBool:
		return c.Text == "true"
	case typeNumber:
		if n, err := strconv.Atoi(c.Text); err == nil {
			return n
		}
	}
	return c.Text
}

// Markdown is a table of all settings for a document.
func (s *Set) Markdown() []byte {
	var b bytes.Buffer
	b.WriteString("| key and flag | variable | default | meaning | SIGHUP |\n|---|---|---|---|---|\n")
	cell := func(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
	for _, setting := range s.all {
		live := "restart"
		if setting.Live {
			live = "changes it"
		}
		def := setting.defaultText()
		if setting.def.String() != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", setting.Name, setting.Variable(), cell(def), cell(setting.Usage), live)
	}
	return b.Bytes()
}
