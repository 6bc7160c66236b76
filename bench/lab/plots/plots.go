package plots

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Figure is a plot of lines.
type Figure struct {
	Title, X, Y string
	LogX, LogY  bool
	Lines       []Line
	// XTicks and YTicks are where numbers stand at an axis, which ends at the first and
	// the last of them; none: where it suits the values.
	XTicks, YTicks []float64
	Notes          []string // below the title: what was published elsewhere, and is not measured
}

// A Line has its points in order.
type Line struct {
	Name   string
	Points []Point
	Dashed bool // it is computed and not measured
	Steps  bool // it stays at a value until the next
}

// A Point of a line. One that is invalid is drawn as a cross, off the line.
type Point struct {
	X, Y    float64
	Invalid bool
}

var errEmpty = errors.New("there is nothing to draw")

// palette is that of Okabe and Ito, which people see apart who see colours
// differently.
func palette(i int) color.Color {
	colours := [...]color.RGBA{
		{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
		{86, 180, 233, 255}, {230, 159, 0, 255}, {0, 0, 0, 255}, {140, 140, 140, 255}, {128, 64, 0, 255},
	}
	return colours[i%len(colours)]
}

// SVG draws the figure.
func (f Figure) SVG() ([]byte, error) {
	p := plot.New()
	p.Title.Text = f.Title
	for _, note := range f.Notes {
		p.Title.Text += "\n" + note
	}
	p.Title.TextStyle.Font.Size = vg.Points(10)
	p.Title.Padding = vg.Points(4)
	p.X.Label.Text, p.Y.Label.Text = f.X, f.Y
	// It stands below, where no line is.
	legend := plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.TextStyle.Font.Size, legend.Padding = vg.Points(9), vg.Points(3)
	p.Add(plotter.NewGrid())
	if f.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if f.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	drawn := 0
	for i, l := range f.Lines {
		n, err := f.add(p, &legend, l, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Title, l.Name, err)
		}
		drawn += n
	}
	if drawn == 0 {
		return nil, fmt.Errorf("%s: %w", f.Title, errEmpty)
	}
	f.axes(p)
	const width, height, entry = 17 * vg.Centimeter, 10 * vg.Centimeter, 14 // points of the legend's lines
	below := vg.Points(entry * float64(len(f.Lines)))
	canvas := vgsvg.New(width, height+below)
	const margin = 4 * vg.Millimeter // the last number of an axis is as wide again beyond it
	whole := draw.Crop(draw.New(canvas), margin, -margin, margin/2, -margin/2)
	p.Draw(draw.Crop(whole, 0, 0, below, 0))
	legend.Draw(draw.Crop(whole, 3*margin, 0, 0, -(height - margin)))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// add draws a line and says how many points it has.
func (f Figure) add(p *plot.Plot, legend *plot.Legend, l Line, i int) (int, error) {
	var valid, invalid plotter.XYs
	for _, point := range l.Points {
		if math.IsNaN(point.X+point.Y) || math.IsInf(point.X+point.Y, 0) || f.LogX && point.X <= 0 || f.LogY && point.Y <= 0 {
			continue // it has no place
		}
		if xy := (plotter.XY{X: point.X, Y: point.Y}); point.Invalid {
			invalid = append(invalid, xy)
		} else {
			valid = append(valid, xy)
		}
	}
	var entry []plot.Thumbnailer
	if len(valid) > 0 {
		line, points, err := plotter.NewLinePoints(valid)
		if err != nil {
			return 0, err
		}
		line.Color, points.Color = palette(i), palette(i)
		line.Width, points.Radius, points.Shape = vg.Points(1.3), vg.Points(2), draw.CircleGlyph{}
		if l.Dashed {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		if l.Steps {
			line.StepStyle = plotter.PostStep
		}
		p.Add(line)
		entry = append(entry, line)
		if len(valid) < 40 {
			p.Add(points)
			entry = append(entry, points)
		}
	}
	if len(invalid) > 0 {
		crosses, err := plotter.NewScatter(invalid)
		if err != nil {
			return 0, err
		}
		crosses.Color, crosses.Radius, crosses.Shape = palette(i), vg.Points(3), draw.CrossGlyph{}
		p.Add(crosses)
		entry = append(entry, crosses)
	}
	if entry != nil {
		legend.Add(l.Name, entry...)
	}
	return len(valid) + len(invalid), nil
}

// axes end where the figure says, or have all values on them.
func (f Figure) axes(p *plot.Plot) {
	if !f.LogY {
		p.Y.Min = min(p.Y.Min, 0)
	}
	widen(&p.X, f.LogX)
	widen(&p.Y, f.LogY)
	fix(&p.X, f.XTicks)
	fix(&p.Y, f.YTicks)
}

// widen gives an axis of one value a length, which on a logarithmic one must not
// reach 0.
func widen(axis *plot.Axis, logarithmic bool) {
	switch {
	case axis.Max > axis.Min:
	case logarithmic:
		axis.Min, axis.Max = axis.Min/10, axis.Max*10
	default:
		axis.Max++
	}
}

func fix(axis *plot.Axis, at []float64) {
	if len(at) == 0 {
		return
	}
	axis.Min, axis.Max = at[0], at[len(at)-1]
	var ticks plot.ConstantTicks
	for _, v := range at {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
	}
	axis.Tick.Marker = ticks
}
