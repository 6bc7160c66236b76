package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"pappus/internal/suggest"
)

// Forms of output, as -o names them.
const (
	formTable        = "table"
	formWide         = "wide"
	formJSON         = "json"
	formYAML         = "yaml"
	formName         = "name"
	formTemplate     = "go-template"
	formTemplateFile = "go-template-file"
)

// Forms of the verbs that print lists, and of those whose record has no name
// and no table.
var (
	allForms   = []string{formTable, formWide, formJSON, formYAML, formName, formTemplate, formTemplateFile}
	plainForms = []string{formJSON, formYAML, formTemplate, formTemplateFile}
)

// onlyJSON is the form of verbs that print no record, but what a function gave,
// or a line.
func onlyJSON() []string { return []string{formJSON} }

// form is how records are printed; the zero value is that for people.
type form struct {
	kind     string
	template *template.Template // of go-template
}

// forPeople tells whether what is printed is a table or text.
func (c *commandLine) forPeople() bool {
	return c.form.kind == "" || c.form.kind == formTable || c.form.kind == formWide
}

// formFlag is -o. It knows the forms that its verb has.
type formFlag struct {
	text  *string
	forms []string
}

var _ pflag.Value = formFlag{}

func (f formFlag) String() string {
	if f.text == nil {
		return ""
	}
	return *f.text
}

func (f formFlag) Set(text string) error {
	*f.text = text
	return nil
}

func (f formFlag) Type() string { return "FORM" }

// list says what -o takes.
func (f formFlag) list() string {
	names := slices.Clone(f.forms)
	for i, name := range names {
		switch name {
		case formTemplate:
			names[i] += "=TEMPLATE"
		case formTemplateFile:
			names[i] += "=FILE"
		}
	}
	return strings.Join(names, ", ")
}

// formFlagName is the long form of -o. It is not "output", which is an output
// set of a function.
const formFlagName = "format"

// bindForm gives a verb -o.
func (c *commandLine) bindForm(flags *pflag.FlagSet, forms []string) {
	f := formFlag{&c.output, forms}
	flags.VarP(f, formFlagName, "o", "how to print it: "+f.list())
}

// bindQuiet gives a verb -q.
func (c *commandLine) bindQuiet(flags *pflag.FlagSet, what string) {
	flags.BoolVarP(&c.quiet, "quiet", "q", false, what)
}

// settleForm makes one form of --json, -o and --quiet.
func (c *commandLine) settleForm(flags *pflag.FlagSet) error {
	var flag formFlag
	given := false
	if f := flags.Lookup(formFlagName); f != nil {
		flag, _ = f.Value.(formFlag)
		given = f.Changed
	}
	names := slices.Contains(flag.forms, formName) // what --quiet prints
	switch {
	case given && c.json && c.output != formJSON:
		return usage("choose one of them", "--json and -o %s exclude each other", c.output)
	case names && given && c.quiet && c.output != formName:
		return usage("choose one of them", "--quiet and -o %s exclude each other", c.output)
	case names && c.quiet && c.json:
		return usage("choose one of them", "--quiet and --json exclude each other")
	case given:
		return c.settleOutput(flags, flag)
	case c.json:
		c.form.kind = formJSON
	case names && c.quiet:
		c.form.kind = formName
	}
	return nil
}

func (c *commandLine) settleOutput(flags *pflag.FlagSet, flag formFlag) error {
	kind, text, ok := strings.Cut(c.output, "=")
	takes := kind == formTemplate || kind == formTemplateFile
	switch {
	case !slices.Contains(flag.forms, kind):
		hint := "use one of " + flag.list()
		if len(flag.forms) == 1 {
			hint = "use -o " + flag.forms[0] + ", or leave it out"
			if f := flags.Lookup("out"); f != nil {
				hint += "; --out DIR writes files"
			}
		}
		if like, ok := suggest.Closest(kind, flag.forms); ok {
			hint = didYouMean("-o "+like, hint)
		}
		return usage(hint, "-o %s: there is no such form", c.output)
	case takes && text == "":
		return usage(templateHint, "-o %s: it needs a value after =", kind)
	case ok && !takes:
		return usage("write -o "+kind, "-o %s: %s takes no value", c.output, kind)
	}
	if kind == formTemplateFile {
		content, err := os.ReadFile(text)
		if err != nil {
			return fmt.Errorf("-o %s: %w", kind, err)
		}
		kind, text = formTemplate, string(content)
	}
	if kind == formTemplate {
		t, err := template.New("-o").Option("missingkey=error").Funcs(templateFunctions()).Parse(text)
		if err != nil {
			return usage(templateHint, "-o: the template can't be read: %w", err)
		}
		c.form.template = t
	}
	c.form.kind, c.json = kind, kind == formJSON
	return nil
}

const templateHint = "templates are those of Go's text/template, over the names of -o json: -o go-template='{{.name}}'"

// templateFunctions are what templates have beside the language's own.
func templateFunctions() template.FuncMap {
	return template.FuncMap{
		"json": func(value any) (string, error) {
			text, err := jsonText(value, "")
			return strings.TrimSuffix(string(text), "\n"), err
		},
	}
}

// jsonText is a value as indented JSON with a line end; lines but the first
// begin with prefix.
func jsonText(value any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	err := enc.Encode(value)
	return b.Bytes(), err
}

// yamlText is the JSON form of a value as YAML, in the same order.
func yamlText(value any) ([]byte, error) {
	text, err := jsonText(value, "")
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(printable(text), &doc); err != nil {
		return nil, fmt.Errorf("make YAML: %w", err)
	}
	block(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("make YAML: %w", err)
	}
	return b.Bytes(), nil
}

// printable makes YAML of JSON, which it is but for characters that YAML has
// only escaped.
func printable(jsonText []byte) []byte {
	b := make([]byte, 0, len(jsonText))
	for _, r := range string(jsonText) {
		if changesText(r) || r == 0xfeff || r == 0xfffe || r == 0xffff {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// block takes the style of JSON off, but for texts that would not be read as
// they are without quotes: a merge key, and several lines.
func block(n *yaml.Node) {
	if n.Value != "<<" && !strings.ContainsFunc(n.Value, unicode.IsControl) {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}

// generic is the JSON form of a value, made of maps, lists, strings, numbers
// and booleans. Members that are left out of JSON when they are empty are there,
// empty: a template that names one works for every record.
func generic(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	tree = numbers(tree)
	complete(tree, reflect.TypeOf(value))
	return tree, nil
}

// numbers makes integers of numbers where they are: as floating-point ones,
// large ones would be printed like 1.6e+07.
func numbers(tree any) any {
	switch t := tree.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(t.String(), 64)
		return f
	case []any:
		for i := range t {
			t[i] = numbers(t[i])
		}
	case map[string]any:
		for name := range t {
			t[name] = numbers(t[name])
		}
	}
	return tree
}

// complete adds the members that a type has and its JSON form here has not.
func complete(tree any, typ reflect.Type) {
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ == nil {
		return
	}
	switch t := tree.(type) {
	case []any:
		if typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array {
			for _, one := range t {
				complete(one, typ.Elem())
			}
		}
	case map[string]any:
		switch typ.Kind() {
		case reflect.Map:
			for _, one := range t {
				complete(one, typ.Elem())
			}
		case reflect.Struct:
			for i := range typ.NumField() {
				if field := typ.Field(i); field.IsExported() || field.Anonymous {
					completeField(t, field)
				}
			}
		}
	}
}

func completeField(members map[string]any, field reflect.StructField) {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	switch {
	case name == "-":
		return
	case name == "" && field.Anonymous:
		complete(members, field.Type)
		return
	case name == "":
		name = field.Name
	}
	if there := members[name]; there == nil {
		members[name] = nothing(field.Type)
	}
	complete(members[name], field.Type)
}

// nothing is the JSON form of an empty value.
func nothing(typ reflect.Type) any {
	if typ.Implements(reflect.TypeFor[json.Marshaler]()) { // a time, for example
		return ""
	}
	switch typ.Kind() {
	case reflect.Bool:
		return false
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return int64(0)
	case reflect.Float32, reflect.Float64:
		return float64(0)
	case reflect.Slice, reflect.Array:
		return []any{}
	case reflect.Map, reflect.Struct:
		return map[string]any{}
	case reflect.Pointer:
		return nothing(typ.Elem())
	}
	return ""
}

// execute applies the template to a record.
func (f *form) execute(value any) ([]byte, error) {
	tree, err := generic(value)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := f.template.Execute(&b, tree); err != nil {
		return nil, templateFailure(err, tree)
	}
	if text := b.Bytes(); len(text) > 0 && text[len(text)-1] != '\n' {
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

func templateFailure(err error, tree any) error {
	match := regexp.MustCompile(`map has no entry for key "([^"]*)"`).FindStringSubmatch(err.Error())
	members, ok := tree.(map[string]any)
	if match == nil || !ok {
		return usage(templateHint, "-o: the template does not fit: %w", err)
	}
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := "a record has " + strings.Join(names, ", ")
	if like, ok := suggest.Closest(match[1], names); ok {
		hint = didYouMean("."+like, hint)
	}
	return usage(hint, "-o: the template names %q, and there is no such field", match[1])
}
