package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"pappus/client"
	"pappus/engine"
)

// timeline draws what happened in a run: a row for each application, over time.
type timeline struct {
	width int  // in characters
	plain bool // of ASCII only
}

// Of a timeline: how wide it is where no terminal says otherwise, how many
// applications and requests it has, the least characters of a bar and of what a
// request was sent to, how many of the slowest instances it names, and the most
// characters of their items.
const (
	usualWidth       = 80
	timelineRows     = 40
	timelineRequests = 20
	leastBar         = 10
	leastTarget      = 20
	namedSlowest     = 3
	mostItem         = 60
)

// glyphs are what bars are made of.
type glyphs struct {
	edge, waits, fails string
	runs               []string // from a little to all of the time
}

func (t timeline) glyphs() glyphs {
	if t.plain {
		return glyphs{"|", ".", "x", []string{"-", "=", "#"}}
	}
	return glyphs{"│", "░", "✗", []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}}
}

// timelineFor is how a timeline is drawn on a writer's terminal.
func (c *commandLine) timelineFor(w io.Writer) timeline {
	t := timeline{width: width(w), plain: c.variable("NO_COLOR") != "" || !c.readsUTF8()}
	if t.width == 0 {
		t.width = usualWidth
	}
	return t
}

// readsUTF8 reports whether the user's terminal is said to show UTF-8.
func (c *commandLine) readsUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(c.variable(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// showTimeline draws the run of a call. That there is none is a word beside what
// the call gave, and no failure.
func (c *commandLine) showTimeline(ctx context.Context, cl *client.Client, w io.Writer, ref, id string) {
	if id == "" {
		_, _ = fmt.Fprintf(w, "no timeline: %s is a function, and only runs of compositions have one\n", oneLine(ref)) // nobody is left to tell
		return
	}
	run, err := cl.Run(ctx, id)
	if err != nil {
		_, _ = fmt.Fprintf(w, "no timeline: %s\n", oneLine(err.Error())) // as above
		return
	}
	_, _ = io.WriteString(w, c.timelineFor(c.stderr).draw(run)) // as above
}

// draw makes the text of a run.
func (t timeline) draw(run *client.Run) string {
	var b strings.Builder
	apps := slices.DeleteFunc(slices.Clone(run.Applications), func(a client.RunApplication) bool { return len(a.Instances) == 0 })
	slices.SortStableFunc(apps, func(a, c client.RunApplication) int { return cmp.Compare(firstQueued(a), firstQueued(c)) })
	total, instances := milliseconds(run), run.Dropped
	for _, a := range apps {
		instances += len(a.Instances)
		total = max(total, lastEnded(a))
	}
	fmt.Fprintf(&b, "run %s: %s, %s of %s in %s, fuel %d", harmless(run.ID), harmless(run.Composition), countOf(instances, "instance"),
		countOf(len(apps), "application"), shortTime(total), run.Usage.Fuel)
	remembered := 0
	for _, a := range apps {
		for _, in := range a.Instances {
			if in.Remembered != "" {
				remembered++
			}
		}
	}
	if remembered > 0 {
		fmt.Fprintf(&b, ", %d remembered", remembered)
	}
	if run.Fault != "" {
		b.WriteString(", failed: " + harmless(run.Fault))
	}
	b.WriteString("\n")
	if len(apps) == 0 {
		return b.String()
	}
	shown := apps[:min(len(apps), timelineRows)]
	t.rows(&b, shown, total)
	if more := len(apps) - len(shown); more > 0 {
		fmt.Fprintf(&b, "and %s more, which pappus runs %s -o json has\n", countOf(more, "application"), harmless(run.ID))
	}
	if run.Dropped > 0 {
		fmt.Fprintf(&b, "without %s that the record leaves out\n", countOf(run.Dropped, "instance"))
	}
	b.WriteString("slowest: " + t.slowest(apps) + "\n")
	t.requests(&b, run.ID, apps)
	return b.String()
}

// requests lists what I/O functions had others do, in the order in which that began.
func (t timeline) requests(b *strings.Builder, id string, apps []client.RunApplication) {
	var all []client.RunRequest
	dropped := 0
	for _, a := range apps {
		for _, in := range a.Instances {
			all = append(all, in.Requests...)
			dropped += in.DroppedRequests
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, c client.RunRequest) int { return cmp.Compare(a.StartedMs, c.StartedMs) })
	table := newTable("METHOD", "TARGET", "STATUS", "SENT", "RECEIVED", "TIME", "CACHE")
	for _, r := range all[:min(len(all), timelineRequests)] {
		status := ""
		if r.Status != 0 {
			status = fmt.Sprint(r.Status)
		}
		if r.Fault != "" {
			status = strings.TrimSpace(status + " " + harmless(r.Fault))
		}
		if r.Attempts > 1 {
			status += fmt.Sprintf(" (%d attempts)", r.Attempts)
		}
		table.add(harmless(r.Method), t.shortened(harmless(r.Target), max(leastTarget, t.width/2)), status, fmt.Sprint(r.SentBytes), fmt.Sprint(r.ReceivedBytes), shortTime(r.EndedMs-r.StartedMs), harmless(r.Cache))
	}
	_ = table.writeTo(b) // it takes everything
	if more := len(all) - timelineRequests; more > 0 {
		fmt.Fprintf(b, "and %s more, which pappus runs %s -o json has\n", countOf(more, "request"), harmless(id))
	}
	if dropped > 0 {
		fmt.Fprintf(b, "without %s that the record leaves out\n", countOf(dropped, "request"))
	}
}

// rows draws an axis, a row for each application, and what the bars mean.
func (t timeline) rows(b *strings.Builder, apps []client.RunApplication, total float64) {
	names, times := make([]string, len(apps)), make([]string, len(apps))
	nameWidth, timeWidth := 0, 0
	for i, a := range apps {
		times[i] = shortTime(lastEnded(a) - firstStarted(a))
		timeWidth = max(timeWidth, utf8.RuneCountInString(times[i]))
	}
	for i, a := range apps {
		count := ""
		if len(a.Instances) > 1 {
			count = fmt.Sprintf(" x%d", len(a.Instances))
		}
		names[i] = t.shortened(harmless(a.Name), max(leastBar, t.width/3-len(count))) + count
		nameWidth = max(nameWidth, utf8.RuneCountInString(names[i]))
	}
	cells := max(leastBar, t.width-nameWidth-timeWidth-len(" || "))
	end := shortTime(total)
	fmt.Fprintf(b, "%*s  0%*s\n", nameWidth, "", cells-1, end)
	g := t.glyphs()
	var waits, fails, several bool
	for i, a := range apps {
		bar := g.bar(a, total, cells)
		fmt.Fprintf(b, "%s%*s %s%s%s %*s\n", names[i], nameWidth-utf8.RuneCountInString(names[i]), "", g.edge, bar, g.edge, timeWidth, times[i])
		waits = waits || strings.Contains(bar, g.waits)
		fails = fails || strings.Contains(bar, g.fails)
		several = several || len(a.Instances) > 1
	}
	legend := g.runs[len(g.runs)-1] + " runs"
	if several {
		legend = g.runs[0] + " to " + g.runs[len(g.runs)-1] + " how many run"
	}
	if waits {
		legend += ", " + g.waits + " waits"
	}
	if fails {
		legend += ", " + g.fails + " fails"
	}
	fmt.Fprintf(b, "%*s  %s\n", nameWidth, "", legend)
}

// bar draws the instances of an application over the time of the whole run: how
// many run at a time, as a part of the most that do.
func (g glyphs) bar(a client.RunApplication, total float64, cells int) string {
	load, waits, fails := make([]float64, cells), make([]bool, cells), make([]bool, cells)
	at := func(ms float64) float64 {
		return min(max(ms/max(total, math.SmallestNonzeroFloat32), 0), 1) * float64(cells)
	}
	for _, in := range a.Instances {
		queued, started, ended := at(in.QueuedMs), at(in.StartedMs), at(in.EndedMs)
		for i := int(queued); float64(i) < started; i++ {
			waits[i] = true
		}
		first := min(int(started), cells-1)
		for i := first; i == first || float64(i) < ended; i++ {
			const seen = 1e-9 // however short it was
			load[i] += max(seen, min(ended, float64(i+1))-max(started, float64(i)))
		}
		if in.Fault != "" && in.Fault != string(engine.FaultCanceled) {
			fails[max(0, min(int(math.Ceil(ended)), cells)-1)] = true
		}
	}
	most := slices.Max(load)
	var b strings.Builder
	for i := range load {
		switch {
		case fails[i]:
			b.WriteString(g.fails)
		case load[i] > 0 && len(a.Instances) == 1:
			b.WriteString(g.runs[len(g.runs)-1])
		case load[i] > 0:
			level := math.Ceil(load[i] / most * float64(len(g.runs)))
			b.WriteString(g.runs[min(max(int(level), 1), len(g.runs))-1])
		case waits[i]:
			b.WriteString(g.waits)
		default:
			b.WriteString(" ")
		}
	}
	return b.String()
}

// shortened is a name of at most so many characters, the end of a longer one.
func (t timeline) shortened(name string, most int) string {
	left := utf8.RuneCountInString(name) - most
	if left <= 0 {
		return name
	}
	dots := "…"
	if t.plain {
		dots = ".."
	}
	runes := []rune(name)
	return dots + string(runes[left+utf8.RuneCountInString(dots):])
}

// slowest names the instances that ran longest.
func (t timeline) slowest(apps []client.RunApplication) string {
	type one struct {
		name   string
		number int
		item   string
		took   float64
	}
	var all []one
	for _, a := range apps {
		for _, in := range a.Instances {
			all = append(all, one{a.Name, in.Number, in.Item, in.EndedMs - in.StartedMs})
		}
	}
	slices.SortStableFunc(all, func(a, b one) int { return cmp.Compare(b.took, a.took) })
	var list []string
	for _, o := range all[:min(len(all), namedSlowest)] {
		item := ""
		if o.item != "" {
			item = " (" + t.shortened(harmless(o.item), mostItem) + ")"
		}
		list = append(list, fmt.Sprintf("%s instance %d%s in %s", harmless(o.name), o.number, item, shortTime(o.took)))
	}
	return strings.Join(list, ", ")
}

func firstQueued(a client.RunApplication) float64 {
	return least(a, func(in client.RunInstance) float64 { return in.QueuedMs })
}

func firstStarted(a client.RunApplication) float64 {
	return least(a, func(in client.RunInstance) float64 { return in.StartedMs })
}

func lastEnded(a client.RunApplication) float64 {
	return -least(a, func(in client.RunInstance) float64 { return -in.EndedMs })
}

// least is the least of a figure of an application's instances, of which there
// is one at least.
func least(a client.RunApplication, of func(client.RunInstance) float64) float64 {
	first := of(a.Instances[0])
	for _, in := range a.Instances[1:] {
		first = min(first, of(in))
	}
	return first
}

// milliseconds is how long a run took.
func milliseconds(run *client.Run) float64 {
	return float64(run.Ended.Sub(run.Began).Microseconds()) / 1000
}

// shortTime is a time in three digits or so.
func shortTime(ms float64) string {
	value, unit := ms, "ms"
	if ms >= 1000 {
		value, unit = ms/1000, "s"
	}
	switch {
	case value < 0.1:
		return fmt.Sprintf("%.3f%s", value, unit)
	case value < 10:
		return fmt.Sprintf("%.2f%s", value, unit)
	case value < 100:
		return fmt.Sprintf("%.1f%s", value, unit)
	case value < 1e6:
		return fmt.Sprintf("%.0f%s", value, unit)
	}
	return fmt.Sprintf("%.3g%s", value, unit)
}
