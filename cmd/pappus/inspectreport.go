package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"pappus/engine"
	"pappus/wasmengine"
	"pappus/wasmengine/report"
)

// moduleReport is a report as --json gives it. What is estimated and what was
// measured are members of those names.
type moduleReport struct {
	Accepted bool      `json:"accepted"`
	Refusals []refusal `json:"refusals"`
	More     int       `json:"more_refusals,omitempty"` // above their number, of caps that are exceeded
	Broken   bool      `json:"broken,omitempty"`        // it can't be read to its end: there may be others

	*report.Module

	Image    *imageReport   `json:"image,omitempty"`
	Compile  *compileReport `json:"compile,omitempty"`
	MaxStack int64          `json:"max_stack,omitempty"` // bytes: the largest stack limit that it can have on this kind of machine
	Measured *measured      `json:"measured,omitempty"`
}

type refusal struct {
	Reason  string   `json:"reason"`
	Hint    string   `json:"hint"`
	Imports []string `json:"imports,omitempty"`
}

type imageReport struct {
	Possible bool   `json:"possible"`
	Reason   string `json:"reason,omitempty"` // why not
}

type compileReport struct {
	InProcess bool   `json:"in_process"`
	Reason    string `json:"reason,omitempty"` // why not
}

type measured struct {
	InitFuel int64        `json:"init_fuel"` // of initialisation, at registration
	Call     *tried       `json:"call,omitempty"`
	Limits   *triedLimits `json:"limits,omitempty"` // of that call
}

type tried struct {
	Fuel        int64  `json:"fuel"`
	MemoryPages int64  `json:"memory_pages"`
	Fault       string `json:"fault,omitempty"` // how it ended; absent: well
	ExitCode    *int32 `json:"exit_code,omitempty"`
	Detail      string `json:"detail,omitempty"`
}

type triedLimits struct {
	Fuel    int64           `json:"fuel"`
	Timeout engine.Duration `json:"timeout"`
}

func reportOf(r *wasmengine.Report) moduleReport {
	m := moduleReport{
		Accepted: len(r.Refusals) == 0, Refusals: []refusal{}, More: r.More, Broken: r.Broken,
		Module: r.Module, MaxStack: int64(r.MaxStack),
	}
	for _, x := range r.Refusals {
		m.Refusals = append(m.Refusals, refusal{x.Reason, x.Hint, x.Imports})
	}
	if r.Metered {
		m.Image = &imageReport{r.Image, r.NoImage}
		m.Compile = &compileReport{r.Here, r.Child}
	}
	if t := r.Measured; t != nil {
		m.Measured = &measured{InitFuel: t.InitFuel}
		if t.Called {
			call := &tried{Fuel: t.Usage.Fuel, MemoryPages: t.Usage.MemoryPages}
			if f := t.Fault; f != nil {
				call.Fault, call.Detail = string(f.Kind), f.Detail
				if f.Kind == engine.FaultExit {
					call.ExitCode = &f.ExitCode
				}
			}
			m.Measured.Call, m.Measured.Limits = call, &triedLimits{t.Limits.Fuel, t.Limits.Timeout}
		}
	}
	return m
}

// orEmpty has JSON show an empty list where there is none.
func orEmpty(params []engine.Param) []engine.Param {
	if params == nil {
		return []engine.Param{}
	}
	return params
}

// listMost is how much of a list is shown without --all.
const listMost = 20

// printReport shows what was found out of a module, below head, which is what is
// said of the file or function.
func printReport(w io.Writer, head []row, r *wasmengine.Report, show inspection) error {
	most := listMost
	if show.all {
		most = max(len(r.Imports), len(r.Exports), len(r.Customs), len(r.Functions), len(r.Sections), most)
		show.functions = most
	}
	p := &reportPrinter{w: w, most: most, all: show.all}
	p.rows("", append(head, moduleRows(r)...))
	p.refusals(r)
	p.table("imports", len(r.Imports), func(i int) []any {
		x := r.Imports[i]
		return []any{x.Module + "." + x.Name, x.Kind, x.Type}
	})
	p.table("exports", len(r.Exports), func(i int) []any {
		x := r.Exports[i]
		return []any{x.Name, x.Kind, x.Type}
	})
	p.table("sections", len(r.Sections), func(i int) []any {
		x := r.Sections[i]
		return []any{x.Name, countBytes(int64(x.Size)), fmt.Sprintf("at %d", x.Offset)}
	})
	p.table("custom sections", len(r.Customs), func(i int) []any {
		return []any{r.Customs[i].Name, countBytes(int64(r.Customs[i].Size))}
	})
	p.rows("estimated, from the code alone", estimatedRows(r))
	p.rows("measured, by running it here", measuredRows(r, show))
	p.functions(r, show.functions)
	return p.err
}

// moduleRows are what fits into a line each.
func moduleRows(r *wasmengine.Report) []row {
	rows := []row{{"memory", memoryText(r)}}
	add := func(n int, name, text string) {
		if n > 0 || !r.Broken { // of a broken module it is not known that there are none
			rows = append(rows, row{name, text})
		}
	}
	if n := len(r.Tables); n > 0 {
		var list []string
		for _, t := range r.Tables[:min(n, listMost)] {
			list = append(list, fmt.Sprintf("%d of %s", t.Minimum, t.Type))
		}
		rows = append(rows, row{"tables", strings.Join(list, ", ")})
	}
	mutable, bytes, entries := 0, int64(0), int64(0)
	for _, g := range r.Globals {
		if g.Mutable {
			mutable++
		}
	}
	for _, d := range r.Data {
		bytes += int64(d.Size)
	}
	for _, e := range r.Elements {
		entries += int64(e.Count)
	}
	add(len(r.Globals), "globals", fmt.Sprintf("%d, %d of them mutable", len(r.Globals), mutable))
	add(len(r.Data), "data", fmt.Sprintf("%s in %s", countBytes(bytes), countOf(len(r.Data), "segment")))
	add(len(r.Elements), "elements", fmt.Sprintf("%d in %s", entries, countOf(len(r.Elements), "segment")))
	add(len(r.Features), "features", strings.Join(r.Features, ", "))
	add(len(r.Functions), "functions", fmt.Sprintf("%d of %s, %d have names for stack traces", len(r.Functions), countBytes(int64(r.CodeSize)), r.Named))
	if r.Metered {
		rows = append(rows, row{"image", choose(r.Image, "calls start from one that is made at registration", "none: "+r.NoImage)},
			row{"compiled", choose(r.Compiled, "", "it would be, ") + choose(r.Here, "in the server's process", "in a child process: "+r.Child)})
	}
	verdict := "yes"
	switch n := len(r.Refusals) + r.More; {
	case n > 0:
		verdict = fmt.Sprintf("no, for %s", countOf(n, "reason"))
	case !r.Initialized:
		verdict = "yes, unless its initialisation fails, which was not tried"
	}
	return append(rows, row{"accepted", verdict})
}

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

// countOf is a number of things.
func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func memoryText(r *wasmengine.Report) string {
	switch {
	case r.Memory == nil && r.Broken:
		return ""
	case r.Memory == nil:
		return "none"
	}
	pages := func(n int64) string {
		return fmt.Sprintf("%s (%s)", countOf(int(n), "page"), countBytes(n*engine.PageSize))
	}
	text := pages(int64(r.Memory.Minimum)) + " at first"
	if r.Memory.Maximum != nil {
		text += ", at most " + pages(int64(*r.Memory.Maximum))
	}
	return text + fmt.Sprintf("; its limit allows %s", pages(int64(r.Limits.Memory)/engine.PageSize))
}

// estimatedRows are what the calls may take of the stack.
func estimatedRows(r *wasmengine.Report) []row {
	var rows []row
	for _, s := range r.Stacks {
		var chain []string
		for _, name := range s.Chain[:min(len(s.Chain), listMost)] {
			chain = append(chain, shorten(name))
		}
		if len(s.Chain) > listMost {
			chain = append(chain, "…")
		}
		shown := strings.Join(chain, " -> ")
		var text string
		switch s.Bound {
		case report.StackUnbounded:
			text = fmt.Sprintf("unbounded (recursion: %s); chains of calls without it take up to %s", shown, countBytes(s.Bytes))
		case report.StackAtLeast:
			text = fmt.Sprintf("at least %s (%s); calls through tables or of imports may take more", countBytes(s.Bytes), shown)
		default:
			text = fmt.Sprintf("%s (%s)", countBytes(s.Bytes), shown)
		}
		if s.Bytes > int64(r.Limits.Stack) {
			text += fmt.Sprintf("; more than the limit of %s", r.Limits.Stack)
		}
		rows = append(rows, row{"stack of " + s.Entry, text})
	}
	if len(r.Stacks) > 0 {
		rows = append(rows, row{"stack limit", r.Limits.Stack.String()})
	}
	if r.MaxStack > 0 {
		rows = append(rows, row{"largest stack limit", fmt.Sprintf("%s on this kind of processor", r.MaxStack)})
	}
	return rows
}

// measuredRows are what was seen when the code ran.
func measuredRows(r *wasmengine.Report, show inspection) []row {
	t := r.Measured
	switch {
	case t == nil && show.noRun:
		return []row{{"nothing", "--no-run leaves it out"}}
	case t == nil:
		return []row{{"nothing", "what would be refused is not run"}}
	}
	rows := []row{{"initialisation", choose(r.Initializes, fmt.Sprintf("fuel %d, once at registration", t.InitFuel), "none")}}
	if !t.Called {
		return rows
	}
	end := "it ended well"
	if f := t.Fault; f != nil {
		end = "it ended with " + f.Error()
		if f.Kind == engine.FaultExit {
			end = fmt.Sprintf("it ended with exit code %d", f.ExitCode)
		}
	}
	return append(rows,
		row{"call on empty inputs", fmt.Sprintf("fuel %d, memory %s; %s", t.Usage.Fuel, countOf(int(t.Usage.MemoryPages), "page"), end)},
		row{"limits of that call", fmt.Sprintf("fuel %d, timeout %s", t.Limits.Fuel, t.Limits.Timeout)})
}

// reportPrinter prints the parts of a report, one below the other. The first
// error stays.
type reportPrinter struct {
	w    io.Writer
	most int
	all  bool
	err  error
}

func (p *reportPrinter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *reportPrinter) rows(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	if title != "" {
		p.printf("\n%s:\n", title)
	}
	if p.err == nil {
		p.err = printRows(p.w, rows)
	}
}

func (p *reportPrinter) refusals(r *wasmengine.Report) {
	if len(r.Refusals) == 0 {
		return
	}
	p.printf("\nwould be refused:\n")
	for _, x := range r.Refusals {
		p.printf("- %s\n  do: %s\n", oneLine(x.Reason), oneLine(x.Hint))
	}
	switch {
	case r.More > 0:
		p.printf("- %d more like these\n", r.More)
	case r.Broken:
		p.printf("what lies behind that could not be read, so there may be other reasons\n")
	case !r.Compiled:
		p.printf("it was not compiled, so what only the compiler finds is not among them\n")
	}
}

// table prints one line for each of n things, or for the first of them.
func (p *reportPrinter) table(title string, n int, line func(i int) []any) {
	if n == 0 || p.err != nil {
		return
	}
	p.printf("\n%s:\n", title)
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for i := range min(n, p.most) {
		p.cells(table, line(i))
	}
	if err := table.Flush(); p.err == nil {
		p.err = err
	}
	if n > p.most {
		p.printf("… and %d more: --all\n", n-p.most)
	}
}

func (p *reportPrinter) cells(w io.Writer, cells []any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = oneLine(fmt.Sprint(cell))
		if !p.all {
			texts[i] = shorten(texts[i])
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(texts, "\t")) // Flush has the error
}

// shorten cuts a name that would fill lines: compilers make such, and who means
// to be a nuisance makes longer ones.
func shorten(name string) string {
	const most = 80 // characters
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

// functions prints the largest functions.
func (p *reportPrinter) functions(r *wasmengine.Report, most int) {
	if len(r.Functions) == 0 || most == 0 {
		return
	}
	list := slices.Clone(r.Functions)
	slices.SortStableFunc(list, func(a, b report.Function) int { return cmp.Compare(b.Size, a.Size) })
	p.printf("\nfunctions, the largest first (size, share of the code; frame: stack of a call; once: fuel if each instruction ran once):\n")
	if p.err != nil {
		return
	}
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	p.cells(table, []any{"INDEX", "NAME", "SIZE", "SHARE", "INSTRUCTIONS", "FRAME", "ONCE", "CALLS", "LOOPS", "USES"})
	for i := range list[:min(len(list), most)] {
		f := &list[i]
		var uses []string
		for _, u := range []struct {
			has  bool
			name string
		}{{f.Floats, "floats"}, {f.SIMD, "simd"}, {f.Child != "", "child process: " + f.Child}} {
			if u.has {
				uses = append(uses, u.name)
			}
		}
		calls := fmt.Sprint(f.Calls)
		if f.IndirectCalls > 0 {
			calls += fmt.Sprintf("+%d indirect", f.IndirectCalls)
		}
		p.cells(table, []any{f.Index, f.Label(), f.Size, fmt.Sprintf("%.1f%%", f.Percent), f.Instructions, f.Frame, f.Fuel, calls, f.Loops, strings.Join(uses, ", ")})
	}
	if err := table.Flush(); p.err == nil {
		p.err = err
	}
	if n := len(list) - most; n > 0 {
		p.printf("… and %d smaller ones: --all, --functions N\n", n)
	}
}
