package plots

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func parse(t *testing.T, svg []byte) (text string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	var root string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if root == "" {
				root = token.Name.Local
			}
		case xml.CharData:
			text += string(token) + "\n"
		}
	}
	if root != "svg" {
		t.Fatalf("the root is %q", root)
	}
	return text
}

func TestSVG(t *testing.T) {
	base := Figure{
		Title: "Latency & <load>", X: "calls/s", Y: "µs", Notes: []string{"published: 45×"},
		Lines: []Line{
			{Name: "100 % hot", Points: []Point{{1, 10, false}, {2, 20, false}, {3, 400, true}}},
			{Name: "computed", Dashed: true, Steps: true, Points: []Point{{1, 5, false}, {2, 5, false}}},
			{Name: "one", Points: []Point{{2, 7, false}}},
			{Name: "only invalid", Points: []Point{{2, 70, true}}},
			{Name: "nothing"},
		},
	}
	logarithmic := base
	logarithmic.LogX, logarithmic.LogY = true, true
	// What has no place on a logarithmic axis, or on none, is left out.
	logarithmic.Lines = append(logarithmic.Lines, Line{Name: "odd", Points: []Point{{0, 0, false}, {-1, 1, false}, {1, math.NaN(), false}, {1, math.Inf(1), false}, {1, 9, false}}})
	// Numbers stand where the figure has them, and nowhere else.
	ticked := base
	ticked.XTicks, ticked.YTicks = []float64{0, 6, 24}, []float64{0, 0.25, 1000}
	if svg, err := ticked.SVG(); err != nil {
		t.Error(err)
	} else if text := strings.Join(strings.Fields(parse(t, svg)), " "); !strings.Contains(text, " 0 6 24 µs 0 0.25 1000 100 % hot") {
		t.Errorf("numbers of axes: %s", text)
	}
	flat := Figure{Title: "flat", Lines: []Line{{Name: "zero", Points: []Point{{0, 0, false}}}}}
	one := Figure{Title: "one", LogX: true, LogY: true, Lines: []Line{{Name: "value", Points: []Point{{1, 0.002, false}}}}}
	for name, f := range map[string]Figure{"linear": base, "logarithmic": logarithmic, "flat": flat, "one value": one} {
		t.Run(name, func(t *testing.T) {
			svg, err := f.SVG()
			if err != nil {
				t.Fatal(err)
			}
			text := parse(t, svg)
			for _, want := range append([]string{f.X, f.Y, f.Lines[0].Name}, f.Notes...) {
				if !strings.Contains(text, want) {
					t.Errorf("the figure does not have %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, "nothing") {
				t.Error("a line without points is in the legend")
			}
			again, err := f.SVG()
			if err != nil || !bytes.Equal(svg, again) {
				t.Errorf("drawn again it differs, or %v", err)
			}
		})
	}
	for _, f := range []Figure{{Title: "none"}, {Lines: []Line{{Name: "a"}}}, {LogY: true, Lines: []Line{{Points: []Point{{1, 0, false}}}}}} {
		if _, err := f.SVG(); !errors.Is(err, errEmpty) {
			t.Errorf("got %v, want %v", err, errEmpty)
		}
	}
}
