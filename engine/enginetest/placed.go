package enginetest

import (
	"testing"

	"pappus/data"
	"pappus/engine"
)

// Who is told that the inputs are placed may overwrite them: sets, items, contents.
func (s *suite) placedInputs(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	for name, texts := range map[string][]string{"nothing": nil, "empty": {""}, "some": {"hello", "", "there"}} {
		t.Run(name, func(t *testing.T) {
			var items, want []*data.Item
			var contents [][]byte
			for i, text := range texts {
				contents = append(contents, []byte(text))
				items = append(items, data.NewItem(name, uint32(i), contents[i]))
				want = append(want, item(name, uint32(i), text))
			}
			in := input(items...)
			placed := 0
			ctx := &engine.Scheduled{Context: t.Context(), Placed: func() {
				placed++
				for i, b := range contents {
					for j := range b {
						b[j] = 'X'
					}
					items[i] = nil
				}
				in[0] = data.Set{Name: "another", Items: []*data.Item{item("of", 9, "another")}}
			}}
			r, err := p.Run(ctx, in, Limits())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Release()
			if placed != 1 {
				t.Errorf("it was told %d times", placed)
			}
			if outputs := []data.Set{{Name: "out", Items: want}}; !data.Equal(r.Outputs, outputs) {
				t.Errorf("the outputs are not of the inputs: %v", r.Outputs)
			}
		})
	}
}
