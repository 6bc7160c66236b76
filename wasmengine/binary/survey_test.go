package binary_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// checkSurvey holds a survey to what Decode says of the same bytes.
func checkSurvey(t interface {
	Helper()
	Errorf(string, ...any)
}, code []byte, caps wasm.Caps) *wasm.Survey {
	t.Helper()
	s := wasm.Explore(code, caps)
	m, err := wasm.Decode(code, caps)
	switch first := s.Err(); {
	case err == nil && (first != nil || !reflect.DeepEqual(s.Module, m)):
		t.Errorf("Decode accepts what a survey refuses or reads otherwise: %v", first)
	case err != nil && (first == nil || first.Error() != err.Error()):
		t.Errorf("Decode says %v, a survey %v", err, first)
	}
	if s.Module == nil || len(s.Module.Bodies) > len(s.Module.FuncTypes) {
		t.Errorf("a survey leaves an impossible module")
	}
	return s
}

func TestSurveyAgreesWithDecode(t *testing.T) {
	files, err := filepath.Glob("../testdata/hostile/*.wasm")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d hostile modules (%v)", len(files), err)
	}
	for _, f := range files {
		code, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		checkSurvey(t, code, wasm.DefaultCaps())
	}
	for _, code := range sampleModules(t) {
		checkSurvey(t, code, wasm.DefaultCaps())
	}
	for _, b := range append(binarytest.Bombs(100_000), binarytest.CompileBombs()...) {
		checkSurvey(t, b.Code, wasm.DefaultCaps())
	}
	rapid.Check(t, func(t *rapid.T) {
		code := binarytest.Random(t)
		if rapid.Bool().Draw(t, "cut") {
			code = code[:rapid.IntRange(0, len(code)).Draw(t, "length")]
		}
		caps := wasm.DefaultCaps()
		caps.Each(func(name string, bound *int) {
			if rapid.IntRange(0, 5).Draw(t, "low") == 0 {
				*bound = rapid.IntRange(0, 20).Draw(t, name)
			}
		})
		checkSurvey(t, code, caps)
	})
}

// A survey tells all caps that are exceeded, where Decode tells one.
func TestSurveyTellsAllCaps(t *testing.T) {
	b := binarytest.New()
	typ := b.Type(nil, nil)
	for range 3 {
		b.Func(typ, i32s(9), repeated(4, wasm.OpBlock, binarytest.Void, wasm.OpEnd), wasm.OpCall, 0, wasm.OpCall, 0)
	}
	caps := wasm.DefaultCaps()
	caps.Locals, caps.Blocks, caps.Calls, caps.Functions, caps.AllLocals = 8, 3, 1, 2, 20
	s := checkSurvey(t, b.Encode(), caps)
	if s.Broken != nil || len(s.Limits) != 1+3*3+1 || len(s.Module.Bodies) != 3 {
		t.Errorf("%d functions, %d reasons: %v (%v)", len(s.Module.Bodies), len(s.Limits), s.Limits, s.Broken)
	}
	for i := range 1000 {
		b.Func(typ, i32s(9+i%2))
	}
	caps.Functions, caps.AllLocals = 10_000, 100_000
	if s = wasm.Explore(b.Encode(), caps); s.Broken != nil || s.More < 800 || len(s.Limits)+s.More != 1000+3*3 {
		t.Errorf("%d reasons and %d more (%v)", len(s.Limits), s.More, s.Broken)
	}
}

// What is far beyond a cap is not kept.
func TestSurveyEnds(t *testing.T) {
	b := binarytest.New()
	raw := append(wasm.AppendU32([]byte{1}, 4_000_000_000), byte(wasm.I32), byte(wasm.OpEnd))
	for range 3 {
		b.Raw(b.Type(nil, nil), raw)
	}
	s := checkSurvey(t, b.Encode(), wasm.DefaultCaps())
	if s.Broken == nil || len(s.Limits) != 1 || len(s.Module.Bodies) != 0 {
		t.Errorf("%v, %v", s.Limits, s.Broken)
	}
}
