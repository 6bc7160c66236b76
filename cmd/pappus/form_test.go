package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"pappus/client"
)

// Members that are left out of JSON when they are empty are there for
// templates.
func TestGenericHasAllMembers(t *testing.T) {
	type inner struct {
		N *int64 `json:"n,omitempty"`
	}
	type base struct {
		Base string `json:"base,omitempty"`
	}
	type record struct {
		base
		Text    string           `json:"text,omitempty"`
		Flag    bool             `json:"flag,omitempty"`
		Size    int64            `json:"size,omitempty"`
		Rate    float64          `json:"rate,omitempty"`
		Time    time.Time        `json:"time,omitzero"`
		List    []inner          `json:"list,omitempty"`
		Map     map[string]inner `json:"map,omitempty"`
		One     *inner           `json:"one,omitempty"`
		Hidden  string           `json:"-"`
		Unnamed string
	}
	got, err := generic(record{List: []inner{{}}, Map: map[string]inner{"k": {}}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"base": "", "text": "", "flag": false, "size": int64(0), "rate": float64(0), "time": "",
		"list": []any{map[string]any{"n": int64(0)}}, "map": map[string]any{"k": map[string]any{"n": int64(0)}},
		"one": map[string]any{"n": int64(0)}, "Unnamed": "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%#v\nwant %#v", got, want)
	}
	large, err := generic(map[string]any{"n": int64(1) << 53, "f": 1.5})
	if err != nil || !reflect.DeepEqual(large, map[string]any{"n": int64(1) << 53, "f": 1.5}) {
		t.Errorf("%#v, %v", large, err)
	}
}

// Every name that a function's record can have can be named by a template for
// every function.
func TestTemplatesOfFunctions(t *testing.T) {
	for path, want := range map[string]string{
		".name": "f", ".version": "3", ".description": "", ".limits.memory": "", ".limits.fuel": "0", ".open": "false", ".tags": "map[]", ".size": "16777216",
	} {
		f := form{template: template.Must(template.New("").Option("missingkey=error").Parse("{{" + path + "}}"))}
		text, err := f.execute(client.Function{Name: "f", Version: 3, Size: 1 << 24})
		if err != nil || strings.TrimSpace(string(text)) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
}

// YAML says the same as JSON, in the same order.
func TestYAMLIsJSON(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"true", "null", "~", "3", "1e3", "0x10", "2020-01-01", "a: b", "- x", "#", "", " ", "\n", "a\nb\n", "yes", "\t", "'", `"`, "\u2028", "\u0085", "<<"}))
	rapid.Check(t, func(t *rapid.T) {
		f := client.Function{
			Name: text.Draw(t, "name"), Description: text.Draw(t, "description"), Version: rapid.Int64().Draw(t, "version"),
			Inputs: []client.Param{{Name: text.Draw(t, "input"), Type: text.Draw(t, "type")}}, Tags: map[string]int64{text.Draw(t, "tag"): 1},
		}
		wantText, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yamlText(f)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := yaml.Unmarshal(y, &got); err != nil {
			t.Fatalf("%v\n%s", err, y)
		}
		gotText, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for text, into := range map[string]*any{string(wantText): &want, string(gotText): &got} {
			dec := json.NewDecoder(strings.NewReader(text))
			dec.UseNumber()
			if err := dec.Decode(into); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis %s\nof %s", y, gotText, wantText)
		}
	})
}

// An error among records ends what is printed, in every form.
func TestErrorsAmongRecords(t *testing.T) {
	broken := errors.New("broken")
	for _, kind := range []string{"", formTable, formWide, formJSON, formYAML, formName, formTemplate} {
		var b bytes.Buffer
		c := withoutEnvironment(&b, io.Discard)
		c.form = form{kind, template.Must(template.New("").Parse("{{.name}}"))}
		err := showAll(c, versionView(), func(yield func(entry, error) bool) {
			if yield(functionEntry(&client.Function{Name: "first"}), nil) {
				yield(entry{}, broken)
			}
		})
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v, %s", kind, err, b.String())
		}
	}
}

func TestSizesAndAges(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0KiB", 10240: "10KiB", 1 << 20: "1.0MiB", 5<<30 + 1<<29: "5.5GiB", 1 << 62: "4194304TiB"} {
		if got := roughBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Hour: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 119 * time.Minute: "1h", 50 * time.Hour: "2d"} {
		if got := age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
