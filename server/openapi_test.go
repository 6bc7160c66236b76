package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pappus/engine"
	"pappus/server/api"
	"pappus/server/problem"
)

// operation is the part of an operation that tests look at.
type operation struct {
	OperationID string         `yaml:"operationId"`
	Responses   map[string]any `yaml:"responses"`
}

func parseDescription(t *testing.T) (doc map[string]any, operations map[string]operation) {
	t.Helper()
	if err := yaml.Unmarshal(openAPIDocument, &doc); err != nil {
		t.Fatal(err)
	}
	var paths struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openAPIDocument, &paths); err != nil {
		t.Fatal(err)
	}
	operations = make(map[string]operation)
	for path, item := range paths.Paths {
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			operations[strings.ToUpper(method)+" "+path] = o
		}
	}
	return doc, operations
}

// Every route is described, and nothing else is.
func TestDescriptionHasTheRoutes(t *testing.T) {
	_, described := parseDescription(t)
	s := newServer(t)
	routes := map[string]bool{}
	for _, r := range s.echo.Routes() {
		routes[r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")] = true
	}
	for r := range routes {
		if _, ok := described[r]; !ok {
			t.Errorf("%s is not described", r)
		}
	}
	ids := map[string]string{}
	for r, o := range described {
		if !routes[r] {
			t.Errorf("%s is described and does not exist", r)
		}
		if other, taken := ids[o.OperationID]; taken || o.OperationID == "" {
			t.Errorf("%s and %s have the same id %q", r, other, o.OperationID)
		}
		ids[o.OperationID] = r
		if len(o.Responses) == 0 {
			t.Errorf("%s has no responses", r)
		}
	}
}

func TestDescriptionIsWhole(t *testing.T) {
	doc, _ := parseDescription(t)
	used := map[string]bool{}
	var walk func(node any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if ref, ok := n["$ref"].(string); ok {
				used[ref] = true
				if at(doc, ref) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(doc)
	components, _ := doc["components"].(map[string]any)
	for kind, list := range components {
		entries, _ := list.(map[string]any)
		for name := range entries {
			if ref := "#/components/" + kind + "/" + name; !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
}

// at finds what a reference means.
func at(doc map[string]any, ref string) any {
	var node any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = m[part]
	}
	return node
}

// The types of documents are generated; limits are engine's own.
func TestDescriptionHasTheLimits(t *testing.T) {
	doc, _ := parseDescription(t)
	properties, _ := at(doc, "#/components/schemas/Limits/properties").(map[string]any)
	var written []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[engine.Limits]()) {
		member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		written = append(written, member)
	}
	slices.Sort(written)
	if described := slices.Sorted(maps.Keys(properties)); !slices.Equal(described, written) {
		t.Errorf("described are %v, written are %v", described, written)
	}
}

// The codes are the catalogue's, and examples of problems are problems.
func TestDescriptionHasTheCodes(t *testing.T) {
	doc, _ := parseDescription(t)
	enum, _ := at(doc, "#/components/schemas/ProblemCode/enum").([]any)
	var described, there []string
	for _, c := range enum {
		text, _ := c.(string)
		described = append(described, text)
	}
	for _, e := range problem.Catalogue() {
		there = append(there, string(e.Code))
	}
	if !slices.Equal(described, there) {
		t.Errorf("described are %v, there are %v", described, there)
	}
	responses, _ := at(doc, "#/components/responses").(map[string]any)
	examples := 0
	for name := range responses {
		content, _ := at(doc, "#/components/responses/"+name+"/content").(map[string]any)
		media, ok := content[problem.ContentType].(map[string]any)
		if !ok {
			continue
		}
		shown := []any{media["example"]}
		if several, ok := media["examples"].(map[string]any); ok {
			shown = nil
			for _, one := range several {
				example, _ := one.(map[string]any)
				shown = append(shown, example["value"])
			}
		}
		for _, example := range shown {
			examples++
			checkExample(t, name, example)
		}
	}
	if examples < 10 {
		t.Errorf("only %d examples of problems", examples)
	}
}

// checkExample holds the example of a problem to the catalogue.
func checkExample(t *testing.T, name string, example any) {
	t.Helper()
	text, err := json.Marshal(example)
	if err != nil {
		t.Fatal(err)
	}
	p := problem.Problem{Problem: api.Problem{Type: problem.TypePrefix}}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatal(name, err)
	}
	e, ok := problem.Lookup(p.Code())
	if !ok || e.Title != p.Title || e.Status != p.Status || e.Hint != p.Hint {
		t.Errorf("%s: the example is not as the catalogue has it: %+v", name, p)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	s := newServer(t)
	r := s.ask(t, http.MethodGet, "/openapi.yaml", "", "")
	if r.Code != http.StatusOK || r.Body.String() != string(openAPIDocument) || r.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v", r.Code, r.Header())
	}
}
