package contexts

import (
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Whatever a file says, it is refused, or says the same when it is written
// again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "current: a\ncontexts: {a: {server: http://x, ca: /y}}", "contexts: {a: &a {server: x}, b: *a}",
		"contexts:\n  ? a\n  : {server: x}\n", "contexts: {<<: {a: {server: x}}}", "a: &a [*a]", "\x00", "--- {}\n--- {}", "contexts: {1: {server: 2}}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parse(text)
		if err != nil {
			return
		}
		again, err := yaml.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parse(again); err != nil || !reflect.DeepEqual(same, file) {
			t.Errorf("%q: %+v becomes %q: %+v (%v)", text, file, again, same, err)
		}
	})
}
