package experiment

import (
	"fmt"
	"time"
)

// A Plan says how much of everything is measured.
type Plan struct {
	Rounds      int           // in which each has a turn
	Turn        time.Duration // how long a turn is
	Rows        int           // of the matrix that a call multiplies
	Connections int           // of clients that want as much as they get
	OpenAtOnce  int           // connections of clients that call at a rate
	OpenWaiting int           // calls of theirs that wait for one

	Hot     []float64 // parts of calls that are hot
	Loads   []float64 // offered, in parts of the most that was answered when all are hot
	Cold    int       // functions that are called in turn to be cold, many more than are under way at once
	Loaded  string    // code that the server may keep loaded then
	Samples float64   // calls a second when distributions are compared

	Logs       []int // of a composition that counts in each
	LogSize    int   // bytes of one
	Instances  []int // of the same with logs of a line
	Workers    []int
	Registered []int // functions
	Inputs     []int // bytes

	Trace     int           // functions of the made-up day
	TraceMost int           // the most calls of one of them that are replayed
	TraceTime time.Duration // that the day is replayed in
	Seed      uint64
	Sandbox   float64 // bytes of a sandbox in the policies that are computed

	PeerFunctions int // of each peer
	LargeRows     int // of the call during which memory is looked at

	K6        map[string]string // settings of k6's scripts that are not theirs
	BenchTime string            // of a Go benchmark
	Languages string            // what is added to the benchmark's name to choose of its parts
}

// Full is the plan whose results can be published. It takes about ten minutes.
func Full() Plan {
	return Plan{
		Rounds: 3, Turn: time.Second, Rows: 128, Connections: 16, OpenAtOnce: 64, OpenWaiting: 5000,
		Hot: []float64{1, 0.97, 0.95, 0.9, 0}, Loads: []float64{0.1, 0.3, 0.5, 0.7, 0.85, 1, 1.1},
		Cold: 256, Loaded: "4MiB", Samples: 50,
		Logs: []int{1, 4, 16, 64}, LogSize: 64 << 10,
		Instances: []int{1, 10, 100, 1000, 10_000}, Workers: []int{1, 2},
		Registered: []int{1, 10, 100, 1000, 10_000},
		Inputs:     []int{1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20, 256 << 20},
		Trace:      100, TraceMost: 1000, TraceTime: time.Minute, Seed: 1, Sandbox: 128 << 20,
		PeerFunctions: 60, LargeRows: 512,
		BenchTime: "100x",
	}
}

// grown is how many functions of a peer are called before it is measured how much
// more each keeps: the first calls make a server grow for all that follow.
func (p Plan) grown() int { return max(p.PeerFunctions/6, 1) }

// Smoke is the plan that only shows that all of it works.
func Smoke() Plan {
	p := Full()
	p.Rounds, p.Turn, p.Rows = 1, 40*time.Millisecond, 8
	p.Hot, p.Loads, p.Cold, p.Loaded = []float64{1, 0.9, 0}, []float64{0.1, 0.5}, 60, "1MiB"
	p.Logs, p.LogSize, p.Instances = []int{1, 3}, 200, []int{1, 20}
	p.Workers, p.Registered, p.Inputs = []int{1}, []int{1, 12}, []int{1 << 10, 64 << 10}
	p.Trace, p.TraceMost, p.TraceTime = 5, 20, 200*time.Millisecond
	p.PeerFunctions, p.LargeRows = 3, 64
	p.K6 = map[string]string{"DURATION": "1s", "RATE": "50", "COLD": "3", "LOGS": "2", "P99": "5000"}
	p.BenchTime, p.Languages = "1x", "/^c$"
	return p
}

// Parameters are the plan for the reader of a result.
func (p Plan) Parameters() map[string]string {
	return map[string]string{
		"rounds": fmt.Sprint(p.Rounds), "turn": fmt.Sprintf("%v; at a rate until %d calls are due, %v at most", p.Turn, enoughCalls, 4*p.Turn), "matrix": fmt.Sprintf("%d×%d", p.Rows, p.Rows),
		"connections":      fmt.Sprint(p.Connections),
		"at a rate":        fmt.Sprintf("%d connections, %d calls may wait, times between calls as of a Poisson process of which exactly as many came", p.OpenAtOnce, p.OpenWaiting),
		"cold calls":       fmt.Sprintf("%d functions in turn, %s of code loaded", p.Cold, p.Loaded),
		"distributions":    fmt.Sprintf("%g calls a second", p.Samples),
		"logs":             fmt.Sprintf("%d bytes each", p.LogSize),
		"day":              fmt.Sprintf("%d functions, seed %d; replayed in %v, of those called more than %d times that many calls, evenly over theirs", p.Trace, p.Seed, p.TraceTime, p.TraceMost),
		"sandbox":          fmt.Sprintf("%g MiB, assumed", p.Sandbox/(1<<20)),
		"functions a peer": fmt.Sprintf("%d; memory idle is what each but the first %d adds", p.PeerFunctions, p.grown()),
		"memory of a call": fmt.Sprintf("looked at while matrices of %d×%d are multiplied, two of %g MiB each", p.LargeRows, p.LargeRows, float64(p.LargeRows*p.LargeRows*8)/(1<<20)),
	}
}
