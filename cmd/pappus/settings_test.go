package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"pappus/cmd/pappus/internal/settings"
	"pappus/dispatcher"
	"pappus/iofuncs/httpio"
)

// given is a value of each setting as flags say it, and as it stands in a file.
func given() map[string]struct {
	flags []string
	file  string
} {
	return map[string]struct {
		flags []string
		file  string
	}{
		"listen":            {[]string{"[::1]:0"}, `"[::1]:0"`},
		"data":              {[]string{"/var/lib/pappus: the data"}, `"/var/lib/pappus: the data"`},
		"tls-cert":          {[]string{"a file.pem"}, "a file.pem"},
		"tls-key":           {[]string{"/key.pem"}, "/key.pem"},
		"workers":           {[]string{"3"}, "3"},
		"memory-budget":     {[]string{"1GiB"}, "1GiB"},
		"waiting":           {[]string{"7"}, "7"},
		"queue-timeout":     {[]string{"250ms"}, "250ms"},
		"compile-timeout":   {[]string{"1m"}, "1m"},
		"default-limits":    {[]string{"memory=1MiB,fuel=7", "timeout=2s"}, "{memory: 1MiB, fuel: 7, timeout: 2s}"},
		"max-limits":        {[]string{"memory=2MiB", "items=3,output=4,stack=5KiB"}, "{memory: 2MiB, items: 3, output: 4, stack: 5KiB}"},
		"run-limits":        {[]string{"time=1m,instances=7", "bytes=1MiB"}, "{time: 1m, instances: 7, bytes: 1MiB}"},
		"module-limits":     {[]string{"functions=9,body=1KiB", "tables=0"}, "{functions: 9, body: 1KiB, tables: 0}"},
		"code-cache":        {[]string{"0"}, "0"},
		"loaded-code":       {[]string{"0"}, "0"},
		"memo":              {[]string{"0"}, "0"},
		"memo-disk":         {[]string{"2GiB"}, "2GiB"},
		"memo-verify":       {[]string{"10000"}, "10000"},
		"max-body":          {[]string{"1GiB"}, "1GiB"},
		"max-code":          {[]string{"1000"}, "1000"},
		"origin":            {[]string{"https://a.example,http://localhost:3000", "https://b.example"}, "[https://a.example, http://localhost:3000, https://b.example]"},
		"host":              {[]string{"a.example", "b.example"}, "[a.example, b.example]"},
		"allow-remote":      {[]string{"true"}, "true"},
		"shutdown":          {[]string{"1s"}, "1s"},
		"egress-allow":      {[]string{"logs.internal:8080,10.0.0.0/8", "other@[::1]:80"}, `["logs.internal:8080", 10.0.0.0/8, "other@[::1]:80"]`},
		"egress-deny":       {[]string{"*", "*@*.example.org:443"}, `["*", "*@*.example.org:443"]`},
		"ca-bundle":         {[]string{"/ca.pem"}, "/ca.pem"},
		"proxy":             {[]string{"http://proxy.example.org:3128"}, "http://proxy.example.org:3128"},
		"proxy-credentials": {[]string{"/proxy"}, "/proxy"},
		"io-cache":          {[]string{"0"}, "0"},
		"io-cache-disk":     {[]string{"1GiB"}, "1GiB"},
		"io-limits":         {[]string{"calls=7", "tenant-calls=3"}, "{calls: 7, tenant-calls: 3}"},
		"http-limits":       {[]string{"body=1MiB,total=1m", "redirects=0"}, "{body: 1MiB, total: 1m, redirects: 0}"},
		"traces":            {[]string{"https://collector.example"}, "https://collector.example"},
		"traces-every":      {[]string{"100"}, "100"},
		"traces-propagate":  {[]string{"true"}, "true"},
		"buckets":           {[]string{"a=mem://,b-2=file:///b", "c=s3://d?region=r&prefix=p"}, "{a: 'mem://', b-2: 'file:///b', c: 's3://d?region=r&prefix=p'}"},
		"bucket-grants":     {[]string{"default:a:ro,other:a:rw"}, "['default:a:ro', 'other:a:rw']"},
		"blob-limits":       {[]string{"size=1MiB,total=1m", "list=7"}, "{size: 1MiB, total: 1m, list: 7}"},
		"access-log":        {[]string{"true"}, "true"},
		"log-format":        {[]string{"json"}, "json"},
		"log-level":         {[]string{"warn"}, "warn"},
	}
}

// values is a configuration without how it was made.
func values(s *serving) serving {
	v := *s
	v.settings = nil
	v.wasm.Compiler = nil
	return v
}

// Flags, variables and the file say the same of every setting.
func TestSettingsAreTheSameEverywhere(t *testing.T) {
	all := given()
	fresh := newServing()
	for _, setting := range fresh.settings.All() {
		name := setting.Name
		value, ok := all[name]
		if !ok {
			t.Errorf("the test has no value of %s", name)
			continue
		}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		given := newServing().settings.Bind(flags)
		for _, text := range value.flags {
			if err := flags.Parse([]string{"--" + name + "=" + text}); err != nil {
				t.Fatal(err)
			}
		}
		var loaded []serving
		for _, from := range []settings.Sources{
			{Flags: given},
			{Environ: []string{settings.Variable(name) + "=" + strings.Join(value.flags, ",")}},
			{File: settings.Parse("f", []byte(name+": "+value.file))},
		} {
			s := newServing()
			if err := s.settings.Load(from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			loaded = append(loaded, values(s))
		}
		if reflect.DeepEqual(loaded[0], values(fresh)) {
			t.Errorf("%s changes nothing", name)
		}
		for _, l := range loaded[1:] {
			if !reflect.DeepEqual(l, loaded[0]) {
				t.Errorf("%s:\n%+v\n%+v", name, l, loaded[0])
			}
		}
	}
	if len(all) != len(fresh.settings.All()) {
		t.Error("the test has values of settings that do not exist")
	}
}

// What is printed of any configuration is read as the same.
func TestConfigurationPrintedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := settings.Given{}
		for name, value := range given() {
			if rapid.Bool().Draw(t, name) {
				from[name] = value.flags
			}
		}
		before, after := newServing(), newServing()
		if err := before.settings.Load(settings.Sources{Flags: from}); err != nil {
			t.Fatal(err)
		}
		before.findOut()
		before.showFound()
		if err := after.settings.Load(settings.Sources{File: settings.Parse("printed", before.settings.YAML())}); err != nil {
			t.Fatal(err)
		}
		if a, b := values(before), values(after); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

func TestCheckOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.org": "", "http://localhost:3000": "", "http://127.0.0.1:8080": "", "http://[::1]:8080": "", "https://xn--bcher-kva.example": "",
		"chrome-extension://abcdefghijklmnop": "", "http://a_b.example:65535": "",
		"*": "every web page", "https://*.example.org": "every web page", "null": "without an origin",
		"foo": "not an origin", "example.org": "not an origin", "//example.org": "not an origin", "https:": "not an origin", "https://": "not an origin",
		"https://user@example.org": "not an origin", "https://a b": "not an origin", "https://example.org:port": "not an origin",
		"https://example.org/": "write https://example.org", "https://example.org/app?x#y": "write https://example.org",
		"HTTPS://Example.ORG": "write https://example.org", "https://example.org:443": "write https://example.org",
		"http://example.org:80": "write http://example.org", "https://example.org:080": "write https://example.org:80",
		"https://example.org:": "write https://example.org", "http://[0:0::1]": "write http://[::1]",
		"https://example.org:0": "not a port", "https://example.org:65536": "not a port", "https://bücher.example": "xn--", "https://-a.example": "is not a name",
	} {
		wantMessage(t, text, checkOrigin(text), want)
	}
}

func TestCheckHost(t *testing.T) {
	for text, want := range map[string]string{
		"pappus": "", "pappus.example.org": "", "Pappus.Example": "", "a_b.example": "", "xn--bcher-kva.example": "",
		"*.example.org": "pattern", "127.0.0.1": "is an address", "[::1]": "is an address", "::1": "is an address", "pappus:8080": "give the name alone: pappus",
		"example.org.": "ends in a dot", "http://a": "is not a name", "a/b": "is not a name", "a b": "is not a name", "bücher.example": "xn--", "a..b": "is not a name",
		".": "is not a name", strings.Repeat("a.", 127) + "a": "longer", strings.Repeat("a", 64): "is not a name",
	} {
		wantMessage(t, text, checkHost(text), want)
	}
}

func TestCheckAddress(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:0": "", "[::1]:65535": "", ":80": "", "localhost:8080": "", "[fe80::1%eth0]:1": "",
		"": "with a port", "8080": "with a port", "127.0.0.1": "with a port", "::1:80": "with a port", "127.0.0.1:": "not a port",
		"127.0.0.1:http": "not a port", "127.0.0.1:65536": "not a port", "127.0.0.1:-1": "not a port", "a b:1": "is not a name", "127.0.0.1:08": "not a port",
	} {
		wantMessage(t, text, checkAddress(text), want)
	}
}

func wantMessage(t *testing.T, text string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%q: %v, not: %s", text, err, want)
	}
}

// Browsers' own spelling of an origin is what is accepted.
func TestOriginsAreWhatBrowsersSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(https?|[a-z]{1,6})://[A-Za-z0-9.:\[\]-]{1,20}/?`).Draw(t, "origin")
		err := checkOrigin(text)
		if err != nil {
			return
		}
		r, err := http.NewRequest(http.MethodGet, text+"/path", http.NoBody)
		if err != nil || r.URL.Scheme+"://"+r.URL.Host != text || strings.ToLower(text) != text {
			t.Fatalf("%q was taken: %v", text, err)
		}
	})
}

func TestCheckFindsContradictions(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"default-limits: {memory: 64MiB}\nmax-limits: {memory: 32MiB}": "f:1: default-limits: memory is 64MiB; the most that is allowed is 32MiB; lower the default, or raise max-limits",
		"listen: 0.0.0.0:80":                     "f:1: listen: 0.0.0.0:80 can be reached from other machines",
		"listen: ':80'":                          "f:1: listen: [::]:80 can be reached",
		"listen: 0.0.0.0:80\nallow-remote: true": "",
		"listen: localhost:80":                   "",
		"listen: somewhere.example:80":           "", // not known without asking
	} {
		s := newServing()
		if err := s.settings.Load(settings.Sources{File: settings.Parse("f", []byte(text))}); err != nil {
			t.Fatal(err)
		}
		s.findOut()
		wantMessage(t, text, s.check(), want)
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{
		dir: "", filepath.Join(dir, "a/b/c"): "", file: "is not a folder", filepath.Join(file, "x"): "not a directory", "/proc/x": "keeps no files",
	} {
		s := newServing()
		s.data = data
		var err error
		if mistakes := s.fileMistakes(nil); len(mistakes) > 0 {
			err = mistakes
		}
		wantMessage(t, data, err, want)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// The page of settings is made from the settings.
func TestConfigurationPage(t *testing.T) {
	const page = "../../docs/configuration.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	made := text
	s := newServing().settings
	for part, content := range map[string][]byte{
		"settings": s.Markdown(),
		"example":  append(append([]byte("```yaml\n"), s.Template()...), "```\n"...),
	} {
		begin, end := []byte("<!-- "+part+": made by go test ./cmd/pappus -run TestConfigurationPage -update -->\n"), []byte("<!-- end of "+part+" -->\n")
		before, rest, ok := bytes.Cut(made, begin)
		_, after, ok2 := bytes.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("the page has no place for %s", part)
		}
		made = bytes.Join([][]byte{before, begin, content, end, after}, nil)
	}
	switch {
	case bytes.Equal(made, text):
	case *update:
		if err := os.WriteFile(page, made, 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/configuration.md is not what the settings are; run: go test ./cmd/pappus -run TestConfigurationPage -update")
	}
	for _, setting := range s.All() {
		if !bytes.Contains(made, []byte("| `"+setting.Name+"` |")) {
			t.Errorf("the page has no %s", setting.Name)
		}
	}
}

func TestConfigFailure(t *testing.T) {
	one := configFailure(settings.Errors{{File: "f", Line: 2, Key: "k", Message: "m", Hint: "h"}})
	var f *failure
	if !errors.As(one, &f) || f.Exit != exitUsage || f.Message != "f:2: k: m" || f.Hint != "h" {
		t.Errorf("%+v", f)
	}
	if other := errors.New("other"); configFailure(other) != other { //nolint:errorlint // it is the very same
		t.Error("another error is changed")
	}
}

func TestHTTPLimits(t *testing.T) {
	limits := httpio.DefaultLimits()
	set := httpLimitSetter(&limits)
	for _, p := range httpLimitPairs(limits) {
		if err := set(p.Name, p.Value); err != nil || limits != httpio.DefaultLimits() {
			t.Errorf("%+v: %+v, %v", p, limits, err)
		}
		for _, bad := range []string{"", "-1", "x", "99999999999999999999", "-1s"} {
			if err := set(p.Name, bad); err == nil {
				t.Errorf("%s=%s is accepted", p.Name, bad)
			}
		}
		if err := set(p.Name, "0"); (err == nil) != (p.Name == "redirects") {
			t.Errorf("%s=0: %v", p.Name, err)
		}
		limits = httpio.DefaultLimits()
	}
	if err := set("bodies", "1"); err == nil || !strings.Contains(err.Error(), "retry-after") {
		t.Errorf("%v", err)
	}
}

// The page has each limit with its default.
func TestIOLimitsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/io.md")
	if err != nil {
		t.Fatal(err)
	}
	all := httpLimitPairs(httpio.DefaultLimits())
	(dispatcher.Config{}).IOLimits().Each(func(name, value string) { all = append(all, settings.Pair{Name: name, Value: value}) })
	for _, p := range all {
		if !regexp.MustCompile("(?m)^\\| `" + p.Name + "` \\| [^|]+ \\| " + p.Value + " \\|").Match(page) {
			t.Errorf("%s with the default %s is not on the page", p.Name, p.Value)
		}
	}
}

func TestCheckRules(t *testing.T) {
	wantMessage(t, "*", checkAllowed("*"), "allows nothing")
	wantMessage(t, "10.0.0.1/8", checkAllowed("10.0.0.1/8"), "10.0.0.0/8")
	wantMessage(t, "a", checkAllowed("a"), "")
	wantMessage(t, "*", checkRule("*"), "")
	wantMessage(t, "a:0", checkRule("a:0"), "not a port")
}
