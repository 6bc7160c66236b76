package composition

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A drawing in layers: each application stands below those that it needs. Where rows
// cross they are ordered by the mean of their neighbours, which is most of what
// better methods gain on graphs of the size that people draw.

// Measures of a drawing in pixels.
const (
	boxHeight = 34.0
	rowHeight = 96.0
	boxGap    = 28.0
	margin    = 20.0
	titleRoom = 30.0
	perLetter = 8.0
)

// maxBends bounds how many bends long edges have in a drawing; without them an edge
// is straight, and may lie under a box.
const maxBends = 20_000

// sweeps is how often rows are ordered, down and up.
const sweeps = 4

// width is that of the vertex's box.
func (v *vertex) width() float64 {
	if v.kind == vertexBend {
		return 2
	}
	return max(textWidth(v.label), 0.75*textWidth(v.note)) + 26
}

func textWidth(text string) float64 {
	width := 0.0
	for _, c := range text {
		width += perLetter
		if c >= 0x2e80 { // ideographs are as wide as two letters
			width += perLetter
		}
	}
	return width
}

func (v *vertex) y() float64 { return float64(v.rank) * rowHeight }

// layout gives vertices their places, and long edges bends in the rows between. It
// returns the width that the rows take.
func layout(vertices []vertex, edges []edge) ([]vertex, float64) {
	for i := range edges {
		e := &edges[i]
		from, to := vertices[e.from].rank, vertices[e.to].rank
		if len(vertices)+to-from > maxBends {
			continue
		}
		for rank := from + 1; rank < to; rank++ {
			e.bends = append(e.bends, len(vertices))
			vertices = append(vertices, vertex{kind: vertexBend, rank: rank})
		}
	}
	var rows [][]int
	for i, v := range vertices {
		for len(rows) <= v.rank {
			rows = append(rows, nil)
		}
		rows[v.rank] = append(rows[v.rank], i)
	}
	above, below := make([][]int, len(vertices)), make([][]int, len(vertices))
	for _, e := range edges {
		from := e.from
		for _, to := range append(slices.Clone(e.bends), e.to) {
			above[to], below[from] = append(above[to], from), append(below[from], to)
			from = to
		}
	}
	nobody := make([][]int, len(vertices))
	for _, row := range rows {
		arrange(vertices, row, nobody)
	}
	for range sweeps {
		for _, row := range rows {
			arrange(vertices, row, above)
		}
		for _, row := range slices.Backward(rows) {
			arrange(vertices, row, below)
		}
	}
	left, right := 0.0, 0.0
	for i := range vertices {
		v := &vertices[i]
		left, right = min(left, v.x-v.width()/2), max(right, v.x+v.width()/2)
	}
	for _, e := range edges {
		to := e.to
		if len(e.bends) > 0 {
			to = e.bends[0]
		}
		middle, half := (vertices[e.from].x+vertices[to].x)/2, textWidth(e.label)/2
		left, right = min(left, middle-half), max(right, middle+half)
	}
	for i := range vertices {
		vertices[i].x -= left
	}
	return vertices, right - left
}

// arrange orders a row by where each vertex's neighbours are, and puts it as near to
// them as the others let it.
func arrange(vertices []vertex, row []int, neighbours [][]int) {
	wanted := make(map[int]float64, len(row))
	for _, i := range row {
		wanted[i] = vertices[i].x
		if near := neighbours[i]; len(near) > 0 {
			sum := 0.0
			for _, other := range near {
				sum += vertices[other].x
			}
			wanted[i] = sum / float64(len(near))
		}
	}
	slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(wanted[a], wanted[b]) })
	shift := 0.0
	for at, i := range row {
		v := &vertices[i]
		v.x = wanted[i]
		if at > 0 {
			before := &vertices[row[at-1]]
			v.x = max(v.x, before.x+before.width()/2+boxGap+v.width()/2)
		}
		shift += wanted[i] - v.x
	}
	for _, i := range row {
		vertices[i].x += shift / float64(len(row))
	}
}

const svgStyle = `<style>
text { font: 13px sans-serif; fill: #222; text-anchor: middle }
.title { font-weight: bold; text-anchor: start }
.label { font-size: 11px; fill: #555; stroke: #fff; stroke-width: 3px; paint-order: stroke }
.note { font-size: 10px; fill: #555 }
rect { fill: #eef3fb; stroke: #44608c }
.input rect, .output rect { fill: #f6f6f6; stroke: #888 }
.output rect { stroke-width: 2 }
.io rect { fill: #fdf3e3; stroke: #a06a1c }
.nested rect { fill: #f1ecf8; stroke: #6b4c94; stroke-dasharray: 5 3 }
path { fill: none; stroke: #777 }
marker path { fill: #777; stroke: none }
</style>
<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>
`

// svg draws the compositions one below the other.
func (g *Graph) svg() string {
	var body strings.Builder
	width, height := 0.0, margin
	for i := range slices.Backward(g.Compositions) {
		c := &g.Compositions[i]
		vertices, edges := g.picture(c)
		vertices, w := layout(vertices, edges)
		title := c.Name + " " + parameters(c.Signature())
		width = max(width, w, textWidth(title))
		fmt.Fprintf(&body, "<g transform=\"translate(%.0f %.0f)\">\n<text class=\"title\" x=\"0\" y=\"12\">%s</text>\n", margin, height, escaped(title))
		height += titleRoom + drawn(&body, vertices, edges) + 2*margin
		body.WriteString("</g>\n")
	}
	width += 2 * margin
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n%s<rect width=\"100%%\" height=\"100%%\" style=\"fill:#fff;stroke:none\"/>\n%s</svg>\n",
		width, height, width, height, svgStyle, body.String())
}

// drawn draws one composition and returns its height.
func drawn(b *strings.Builder, vertices []vertex, edges []edge) float64 {
	classes := map[vertexKind]string{vertexInput: "input", vertexOutput: "output", vertexFunction: "function", vertexNested: "nested", vertexIO: "io"}
	labels := map[int][]box{} // by the row that they are below
	for _, e := range edges {
		from := &vertices[e.from]
		x, y := from.x, titleRoom+from.y()+boxHeight
		fmt.Fprintf(b, "<path marker-end=\"url(#arrow)\" d=\"M%.1f %.1f", x, y)
		for _, i := range append(slices.Clone(e.bends), e.to) {
			to := &vertices[i]
			top := titleRoom + to.y()
			middle := (y + top) / 2
			fmt.Fprintf(b, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, middle, to.x, middle, to.x, top)
			if x, y = to.x, top; to.kind == vertexBend {
				y += boxHeight
				fmt.Fprintf(b, "V%.1f", y)
			}
		}
		b.WriteString("\"/>\n")
		if e.label != "" {
			at := &vertices[append(slices.Clone(e.bends), e.to)[0]]
			label := placed(labels[from.rank], e.label, from, at)
			labels[from.rank] = append(labels[from.rank], label)
			fmt.Fprintf(b, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", label.x, titleRoom+label.y, escaped(e.label))
		}
	}
	height := 0.0
	for i := range vertices {
		v := &vertices[i]
		if v.kind == vertexBend {
			continue
		}
		round, y, base := 4.0, titleRoom+v.y(), boxHeight/2+4
		if v.kind == vertexInput || v.kind == vertexOutput {
			round = boxHeight / 2
		}
		if v.note != "" {
			base -= 6
		}
		fmt.Fprintf(b, "<g class=\"%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\">%s</text>",
			classes[v.kind], v.x-v.width()/2, y, v.width(), boxHeight, round, v.x, y+base, escaped(v.label))
		if v.note != "" {
			fmt.Fprintf(b, "<text class=\"note\" x=\"%.1f\" y=\"%.1f\">%s</text>", v.x, y+base+13, escaped(v.note))
		}
		b.WriteString("</g>\n")
		height = max(height, v.y()+boxHeight)
	}
	return height
}

// box is where a label lies: its middle, and how wide it is.
type box struct{ x, y, width float64 }

// labelHeight is how far the lines of labels are apart, and mostCompared with how
// many labels before it one is compared.
const (
	labelHeight  = 12.0
	mostCompared = 200
)

// placed finds a place for the label of an edge, as near to the middle as the other
// labels of the row let it; if they leave none, the middle.
func placed(others []box, label string, from, to *vertex) box {
	const letter = 0.75 // of those of boxes
	others = others[max(0, len(others)-mostCompared):]
	top := from.y() + boxHeight
	at := func(part float64) box {
		return box{from.x + part*(to.x-from.x), top + part*(to.y()-top), letter * textWidth(label)}
	}
	for _, part := range [...]float64{0.4, 0.62, 0.84, 0.18} {
		b := at(part)
		if !slices.ContainsFunc(others, b.overlaps) {
			return b
		}
	}
	return at(0.4)
}

func (b box) overlaps(other box) bool {
	return math.Abs(b.x-other.x) < (b.width+other.width)/2 && math.Abs(b.y-other.y) < labelHeight
}

// escaped is text for a document of XML.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return b.String()
}
