package composition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pappus/dispatcher/composition"
)

// hostile are sources of nearly the largest size that are made to take long, to need
// much memory, or to give endless errors. Each is read in time linear in its size:
// what they have in common is that this test ends.
func hostile() map[string]string {
	fill := func(begin, unit, end string) string {
		return begin + strings.Repeat(unit, (composition.MaxSource-len(begin)-len(end))/len(unit)) + end
	}
	numbered := func(begin, unit, end string, n int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := range n {
			b.WriteString(strings.NewReplacer("<i>", fmt.Sprint(i), "<i+1>", fmt.Sprint(i+1), "<-i>", fmt.Sprint(n-i), "<-i-1>", fmt.Sprint(n-i-1)).Replace(unit))
		}
		b.WriteString(end)
		return b.String()
	}
	const f = "function f(a) => (b);\n"
	return map[string]string{
		"braces":                fill("", "{", ""),
		"parentheses":           fill("composition C", "(", ""),
		"semicolons":            fill("composition C() => () {", ";", "}"),
		"names":                 fill("composition C() => () {", "x ", "}"),
		"one name":              fill("composition ", "x", "() => () {}"),
		"one list":              fill("composition C(", "x,", ") => () {}"),
		"declarations":          fill("", "function ", ""),
		"headless":              fill("", "composition ", ""),
		"unknown characters":    fill("", "§¶", ""),
		"not UTF-8":             fill("", "\xff\xfe", ""),
		"quotes":                fill("", "\"", ""),
		"comments":              fill("", "#\n", ""),
		"a comment in a list":   fill("composition C(x,", "#\n", ") => (x) {}"),
		"one comment":           fill("", "#", ""),
		"a script of commas":    fill("input set a", ",", ""),
		"a script of names":     fill("input set ", "a,", "a"),
		"a script of loops":     fill("", "a = for each x in y :\n", ""),
		"applications":          fill(f+"composition C() => () {", "f()=>();", "}"),
		"unknown functions":     numbered(f+"composition C() => () {", "g<i>()=>();", "}", 9_000),
		"undefined sets":        numbered(f+"composition C() => () {", "f(a = all undefined<i>)=>(set<i>=b);", "}", 9_000),
		"a chain":               numbered(f+"composition C(s0) => () {", "f(a = all s<i>)=>(s<i+1>=b);", "}", 9_000),
		"a chain backwards":     numbered(f+"composition C(s0) => () {", "f(a = all s<-i-1>)=>(s<-i>=b);", "}", 9_000),
		"a long cycle":          numbered(f+"composition C(x) => (s9000) {f(a = all s9000)=>(s0=b);", "f(a = all s<i>)=>(s<i+1>=b);", "}", 9_000),
		"many cycles":           numbered(f+"composition C() => () {", "f(a = all s<i>)=>(s<i>=b);", "}", 9_000),
		"compositions":          numbered("", "composition C<i>(x) => (x) { C<i+1>(x = all x) => (y<i> = x); }", "composition C900(x) => (x) { }", 900),
		"recursion":             numbered("", "composition C<i>(x) => (x) { C<i+1>(x = all x) => (y<i> = x); }", "composition C900(x) => (x) { C0(x = all x) => (y = x); }", 900),
		"many parameters":       numbered("function g(", "p<i>,", ") => ();composition C(x) => () {"+strings.Repeat("g(p = all x) => ();", 9_000)+"}", 900),
		"outputs not made":      numbered("composition C() => (", "o<i>,", ") {"+strings.Repeat("x() => ();", 9_000)+"}", 900),
		"names that are alike":  numbered("composition C() => (", strings.Repeat("a", 60)+"<i>,", ") {"+strings.Repeat("x(p = all "+strings.Repeat("b", 64)+") => ();", 9_000)+"}", 900),
		"joins":                 fill("function f(a, b) => ();composition C(x) => () { f(a = keyed x, b = keyed x) => () by a", " inner b", ";}"),
		"long lines of mistake": fill("composition C() => () {", "f( ; ", "}"),
	}
}

func TestHostileSources(t *testing.T) {
	for name, source := range hostile() {
		t.Run(name, func(t *testing.T) {
			g, warnings, err := composition.Compile(t.Context(), source, composition.Options{Nesting: 1000})
			sound(t, source, warnings, true)
			var invalid *composition.InvalidError
			switch {
			case errors.As(err, &invalid):
				sound(t, source, invalid.Diagnostics, false)
				size := 0
				for _, d := range invalid.Diagnostics {
					size += len(d.Text())
				}
				if most := 200_000; size > most {
					t.Errorf("%d bytes of diagnostics", size)
				}
			case err != nil:
				t.Fatal(err)
			default:
				checkJSON(t, g)
				for _, format := range composition.Pictures() {
					if _, err := g.Draw(format); err != nil {
						t.Error(err)
					}
				}
			}
			if formatted, err := composition.Format(source); err == nil && len(formatted) > 20*len(source) {
				t.Errorf("formatted it has %d bytes", len(formatted))
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	source := strings.Repeat("#", composition.MaxSource+1)
	_, _, err := composition.Compile(t.Context(), source, composition.Options{})
	var invalid *composition.InvalidError
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "1048577 bytes") {
		t.Error(err)
	}
	if _, err := composition.Format(source); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if _, _, err := composition.Compile(t.Context(), source[1:], composition.Options{}); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "no composition") {
		t.Error(err)
	}
}

// At each bound a source is accepted, and one past it refused.
func TestBounds(t *testing.T) {
	list := func(n int, unit string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(unit, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	for _, c := range []struct {
		what  string
		bound int
		write func(n int) string
		want  string
	}{
		{"applications", composition.MaxApplications, func(n int) string {
			return "function f() => ();composition C() => () {" + strings.Repeat("f()=>();", n) + "}"
		}, "more than 10000 applications"},
		{"statements", composition.MaxApplications, func(n int) string { return "input set x\n" + list(n, "a# = f()\n") }, "more than 10000 applications"},
		{"compositions", composition.MaxCompositions, func(n int) string { return list(n, "composition C#(x) => (x) {}") }, "more than 1000 compositions"},
		{"functions", composition.MaxFunctions, func(n int) string { return list(n, "function f#() => ();") + "composition C(x) => (x) {}" }, "more than 10000 functions"},
		{"inputs", 1000, func(n int) string { return "composition C(" + list(n, "x#,") + ") => () {}" }, "more than 1000 names"},
		{"name", 255, func(n int) string { return "composition C(" + strings.Repeat("x", n) + ") => () {}" }, "longer than 255 bytes"},
		{"nesting", composition.MaxNesting, func(n int) string {
			var b strings.Builder
			for i := range n - 1 {
				fmt.Fprintf(&b, "composition C%d(x) => (x) { C%d(x = all x) => (y = x); }\n", i, i+1)
			}
			return b.String() + fmt.Sprintf("composition C%d(x) => (x) {}", n-1)
		}, "stand in one another"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, _, err := composition.Compile(t.Context(), c.write(c.bound), composition.Options{Name: "C0"})
			if err != nil && strings.Contains(err.Error(), c.want) {
				t.Errorf("at the bound: %v", err)
			}
			_, _, err = composition.Compile(t.Context(), c.write(c.bound+1), composition.Options{Name: "C0"})
			var invalid *composition.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatal(err)
			}
			found := false
			for _, d := range invalid.Diagnostics {
				found = found || strings.Contains(d.Message, c.want)
			}
			if !found {
				t.Errorf("one past it: %v", err)
			}
		})
	}
}
