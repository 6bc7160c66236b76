package report

import (
	"slices"

	"pappus/bench/lab/plots"
	"pappus/bench/lab/result"
)

// A section of the report is one experiment: a figure, if it has one, and a
// table.
type section struct {
	experiment string
	title      string
	text       string
	figures    []figure
	columns    []column // of its table; none: it has none
	base       string   // the series that the others' 99th percentiles are compared with; empty: none
}

// A figure draws the series of the section.
type figure struct {
	file  string
	value string  // drawn over the points' x; empty: x over the share of what is less
	scale float64 // from the value's unit to the figure's
	xs    float64 // the same of x
	plots.Figure
}

// A column of a table.
type column struct {
	value, head string
	scale       float64
}

const (
	milli = 1e-3 // from µs to ms
	one   = 1.0
)

var latencies = []column{{"p50_us", "p50, ms", milli}, {"p99_us", "p99, ms", milli}}

func with(columns ...[]column) []column {
	var all []column
	for _, c := range columns {
		all = append(all, c...)
	}
	return all
}

const begunLate = "*Begun late* is the part of the calls that began more than a millisecond after they were due, as they waited for a connection or for the client itself: " +
	"latencies count from when a call was due, so that this wait is in them, the client's too."

// sections are all that a report may have, in its order.
func sections() []section {
	return []section{
		{
			experiment: "peers", title: "Peers",
			text: "The same work, asked for by the same client over HTTP on loopback, in turns. The most is what is answered when each of some " +
				"connections calls as soon as it was answered; latencies are those at half of a peer's own most, and count from when a call was due. " +
				"*Cold* is the first call of a function; *idle* is the memory that a function keeps after a call, *running* what a call adds while it runs to " +
				"the memory that the server had before, its data included: pages that a server kept from earlier calls are not in it, so that it can be less than its matrices take. " +
				"Those are larger than in the rest (*memory of a call* in the settings). " +
				"Memory of several processes is counted once. Processor time is that of the server and all that it starts.",
			columns: with([]column{{"most_per_s", "most, calls/s", one}}, latencies, []column{
				{"calls", "calls a round at half", one}, {"cpu_s_per_1000", "processor s per 1,000 calls", one}, {"cold_us", "cold, ms", milli},
				{"running_mib", "running, MiB", one}, {"idle_kib", "idle, KiB", one}, {"memory_mib", "server with all functions, MiB", one},
			}),
		},
		{
			experiment: "latency", title: "Latency against load",
			text: "As figures 4 and 5 of the paper: how long calls take that come at a rate, of which a part is hot. Loads are parts of the most that is answered when all are hot. " +
				"Where more is offered than answered, calls wait ever longer, and latencies say how long a turn is. " +
				"A cross is a load at which calls were dropped by the client or refused by the server. " + begunLate,
			figures: []figure{
				{file: "latency-p99.svg", value: "p99_us", scale: milli, xs: one, Figure: plots.Figure{
					Title: "99th percentile of latency against offered load", X: "calls/s offered", Y: "ms", LogY: true,
					Notes: []string{"published for Dandelion on CHERI, not measured here:", "cold tail 45 times lower than Firecracker's"},
				}},
				{file: "latency-p50.svg", value: "p50_us", scale: milli, xs: one, Figure: plots.Figure{
					Title: "Median latency against offered load", X: "calls/s offered", Y: "ms", LogY: true,
				}},
			},
			columns: with([]column{{"calls_per_s", "answered, calls/s", one}}, latencies, []column{{"calls", "calls a round", one}, {"cold_share", "cold, measured, %", 100}, {"late_share", "begun late, %", 100}}),
		},
		{
			experiment: "throughput", title: "Throughput against the part of hot calls",
			text: "The most that is answered. Where each call is a process, none is hot or cold: that was measured once in a round, and what it gave stands at every part as one line to compare with.",
			figures: []figure{{file: "throughput.svg", value: "calls_per_s", scale: one, xs: one, Figure: plots.Figure{
				Title: "Most calls answered against the part that is hot", X: "% hot", Y: "calls/s",
				Notes: []string{"published for Dandelion on CHERI, not measured here:", "at 95 % hot 5 times Firecracker's throughput"},
			}}},
			columns: with([]column{{"calls_per_s", "calls/s", one}}, latencies, []column{{"cold_share", "cold, measured, %", 100}}),
		},
		{
			experiment: "distribution", title: "Hot and cold calls",
			text: "How latencies are distributed at a low rate. *Hot* finds its code loaded; *cold* loads compiled code from the disk (whose pages may be in the system's cache); " +
				"*compiled first* has no compiled code at all. " + begunLate,
			figures: []figure{{file: "cold.svg", scale: one, xs: milli, Figure: plots.Figure{
				Title: "Distribution of latency, hot and cold", X: "ms", Y: "part of the calls", LogX: true, YTicks: []float64{0, 0.25, 0.5, 0.75, 1},
			}}},
		},
		{experiment: "cold", base: "hot", columns: with(latencies, []column{{"max_us", "longest, ms", milli}, {"calls", "calls", one}, {"late_share", "begun late, %", 100}})},
		{
			experiment: "composition", title: "Composition: a pattern counted in logs",
			text: "The composition samples/logcount: an instance for each log, and one that adds up. Inputs come in the request, as JSON.",
			figures: []figure{{file: "composition.svg", value: "p50_us", scale: milli, xs: one, Figure: plots.Figure{
				Title: "Median time of a composition against logs", X: "logs", Y: "ms", LogX: true, LogY: true,
			}}},
			columns: with(latencies, []column{{"calls_per_s", "compositions/s", one}, {"instances_per_s", "logs/s", one}}),
		},
		{
			experiment: "fetched", title: "Composition: the logs fetched over HTTP",
			text: "The composition of the paper's figure 2, samples/logcount-http: requests are made, sent at once to a server on this machine, and the answers counted. No answer is kept.",
			figures: []figure{{file: "fetched.svg", value: "p50_us", scale: milli, xs: one, Figure: plots.Figure{
				Title: "Median time of a composition that fetches logs", X: "logs", Y: "ms", LogX: true, LogY: true,
			}}},
			columns: with(latencies, []column{{"calls_per_s", "compositions/s", one}, {"instances_per_s", "logs/s", one}}),
		},
		{
			experiment: "instances", title: "Instances of a composition",
			text: "The same with next to nothing in each log: what an instance costs.",
			figures: []figure{{file: "instances.svg", value: "p50_us", scale: milli, xs: one, Figure: plots.Figure{
				Title: "Median time of a composition against instances", X: "instances", Y: "ms", LogX: true, LogY: true,
			}}},
			columns: with(latencies, []column{{"instances_per_s", "instances/s", one}}),
		},
		{experiment: "workers", title: "Workers", text: "The most that is answered with so many functions computing at once.", columns: with([]column{{"calls_per_s", "calls/s", one}}, latencies)},
		{
			experiment: "registered", title: "Registered functions",
			text: "Hot calls of ten functions at a low rate, and the server's memory, with so many functions registered; registering one takes a compilation and a sync of the disk.",
			figures: []figure{{file: "registered.svg", value: "p99_us", scale: milli, xs: one, Figure: plots.Figure{
				Title: "99th percentile of hot calls against registered functions", X: "functions", Y: "ms", LogX: true,
			}}},
			columns: with(latencies, []column{{"memory_mib", "server, MiB", one}, {"register_ms", "to register one, ms", one}}),
		},
		{
			experiment: "inputs", title: "Inputs",
			text: "A function that reads its input once and answers a number: samples/matmul with a matrix of one row.",
			figures: []figure{{file: "inputs.svg", value: "p50_us", scale: milli, xs: one, Figure: plots.Figure{
				Title: "Median latency against the size of the input", X: "bytes", Y: "ms", LogX: true, LogY: true,
			}}},
			columns: with(latencies, []column{{"mib_per_s", "MiB/s", one}}),
		},
		{
			experiment: "density", title: "A day of many functions",
			text: "A made-up day, replayed in little time. Its shape is that published of Azure Functions (Shahrad et al., USENIX ATC 2020): how often functions are called " +
				"(figure 5), how long they take (figure 7), how many are called by timers (figure 2), how calls swing over a day (figure 4). Assumed is what the paper gives no number for: " +
				"rates between and beyond its quantiles, one function an application, no bursts, no call of more than five minutes. " +
				"Of the most called functions not all calls are replayed (the settings say how many); policies are computed over the day, and cold calls given in parts of its calls. " +
				"Of Pappus all memory of the server is measured; its calls are matrices and not the published times. What policies commit that keep a sandbox for a time after a call is " +
				"computed by their rule, with sandboxes of an assumed size; half of the published applications never allocated more than 170 MB (figure 8).",
			figures: []figure{{file: "density.svg", value: "memory_mib", scale: one, xs: one, Figure: plots.Figure{
				Title: "Memory over a day, replayed", X: "h of the day", Y: "MiB", XTicks: []float64{0, 6, 12, 18, 24},
			}}},
		},
		{experiment: "density summary", columns: []column{{"mean_mib", "mean, MiB", one}, {"cold_share", "cold calls, %", 100}, {"p50_us", "p50, ms", milli}, {"p99_us", "p99, ms", milli}, {"calls", "calls", one}}},
		{
			experiment: "k6", title: "Load tests with k6",
			text: "Each script of bench/k6 against a server of its own. Iterations begin at a constant rate, whether or not earlier ones have ended; none was dropped, every answer was right and " +
				"every threshold held (they stand below), or there would be no report. Times are of requests, by their tags, as k6 sees them, which needs more of the machine than small functions do. " +
				"Of fewer than 100 requests there is no 99th percentile.",
			columns: []column{{"p50_us", "p50, ms", milli}, {"p95_us", "p95, ms", milli}, {"p99_us", "p99, ms", milli}, {"max_us", "longest, ms", milli}, {"calls", "requests", one}},
		},
		{
			experiment: "languages", title: "Languages",
			text: "What `pappus new` makes in each language, built without debug information: five words in, five words out, in the engine and without HTTP, each call in a new isolate. " +
				"With an image it begins with what the function's initialisation left, without one it is initialised in every call.",
			columns: []column{{"call_us", "a call, µs", one}, {"no_image_us", "initialised in every call, µs", one}},
		},
	}
}

// drawn tells whether there is anything to draw.
func (figure) drawn(lines []plots.Line) bool {
	return slices.ContainsFunc(lines, func(l plots.Line) bool { return len(l.Points) > 0 })
}

// lines of a figure.
func (f figure) lines(series []result.Series) []plots.Line {
	var lines []plots.Line
	for _, s := range series {
		l := plots.Line{Name: s.Name}
		if len(s.Name) > 9 && s.Name[:9] == "computed:" {
			l.Dashed, l.Steps = true, true
		}
		for _, p := range s.Points {
			y, ok := p.Values[f.value]
			if f.value == "" {
				y, ok = p.Values["share"]
			}
			if ok {
				l.Points = append(l.Points, plots.Point{X: p.X * f.xs, Y: y * f.scale, Invalid: p.Invalid != ""})
			}
		}
		lines = append(lines, l)
	}
	return lines
}
