package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pappus/client"
)

// fixedRun is a run of which all is known.
func fixedRun() *client.Run {
	began := time.Date(2026, 11, 24, 12, 16, 24, 0, time.UTC)
	run := &client.Run{ID: strings.Repeat("A", 26), Composition: "logcount@1", Parallelism: 16, Began: began, Ended: began.Add(100 * time.Millisecond)}
	run.Usage.Fuel = 6120
	fetch := client.RunApplication{Name: "Fetch", Callee: "fetch@2", Instances: []client.RunInstance{{QueuedMs: 0, StartedMs: 10, EndedMs: 30}}}
	count := client.RunApplication{Name: "Count", Callee: "count@1"}
	for i := range 8 {
		at := 30 + 5*float64(i)
		count.Instances = append(count.Instances, client.RunInstance{Number: i, QueuedMs: 30, StartedMs: at, EndedMs: at + 4 + 2*float64(i)})
	}
	sum := client.RunApplication{Name: "Add/Sum", Callee: "sum@1", Instances: []client.RunInstance{{QueuedMs: 84, StartedMs: 84.5, EndedMs: 99.5}}}
	run.Applications = []client.RunApplication{count, sum, fetch} // they are drawn in the order of time
	return run
}

func TestTimeline(t *testing.T) {
	failed := fixedRun()
	failed.Fault, failed.Dropped = "exit", 3
	failed.Applications[0].Instances[7].Fault = "exit"
	failed.Applications[0].Instances[6].Fault = "canceled"
	failed.Applications = append(failed.Applications[:1], failed.Applications[2])
	empty := fixedRun()
	empty.Applications = []client.RunApplication{}
	outside := fixedRun()
	outside.Applications = []client.RunApplication{{Name: "Ask", Callee: "HTTP", Instances: []client.RunInstance{{
		StartedMs: 10, EndedMs: 90, DroppedRequests: 1, Requests: []client.RunRequest{
			{Method: "GET", Target: "http://b.example/\x1b[31m\u202eevil", StartedMs: 40, EndedMs: 90, Fault: "io-timeout", Attempts: 3},
			{Method: "PUT", Target: "http://a.example/" + strings.Repeat("long/", 10), StartedMs: 10, EndedMs: 30, SentBytes: 12, ReceivedBytes: 345, Status: 200, Attempts: 1, Cache: "miss"},
		},
	}}}}
	for _, c := range []struct {
		name string
		run  *client.Run
		t    timeline
		want string
	}{
		{"requests", outside, timeline{width: 60, plain: true}, `run AAAAAAAAAAAAAAAAAAAAAAAAAA: logcount@1, 1 instance of 1 application in 100ms, fuel 6120
     0                                         100ms
Ask |....#######################################    | 80.0ms
     # runs, . waits
slowest: Ask instance 0 in 80.0ms
METHOD  TARGET                          STATUS                   SENT  RECEIVED  TIME    CACHE
PUT     ..ng/long/long/long/long/long/  200                      12    345       20.0ms  miss
GET     ..example/\u001b[31m\u202eevil  io-timeout (3 attempts)  0     0         50.0ms  -
without 1 request that the record leaves out
`},
		{"plain", fixedRun(), timeline{width: 60, plain: true}, `run AAAAAAAAAAAAAAAAAAAAAAAAAA: logcount@1, 10 instances of 3 applications in 100ms, fuel 6120
          0                                    100ms
Fetch    |....#########                             | 20.0ms
Count x8 |            -=-====#=##########===-       | 53.0ms
Add/Sum  |                                   #######| 15.0ms
          - to # how many run, . waits
slowest: Fetch instance 0 in 20.0ms, Count instance 7 in 18.0ms, Count instance 6 in 16.0ms
`},
		{"UTF-8", fixedRun(), timeline{width: 60}, `run AAAAAAAAAAAAAAAAAAAAAAAAAA: logcount@1, 10 instances of 3 applications in 100ms, fuel 6120
          0                                    100ms
Fetch    │░░░░█████████                             │ 20.0ms
Count x8 │            ▂▃▂▃▄▄▃▆▄▆▆▆▆█▆██▆▆▆▃▃▃       │ 53.0ms
Add/Sum  │                                   ███████│ 15.0ms
          ▁ to █ how many run, ░ waits
slowest: Fetch instance 0 in 20.0ms, Count instance 7 in 18.0ms, Count instance 6 in 16.0ms
`},
		{"failed", failed, timeline{width: 60}, `run AAAAAAAAAAAAAAAAAAAAAAAAAA: logcount@1, 12 instances of 2 applications in 100ms, fuel 6120, failed: exit
          0                                    100ms
Fetch    │░░░░█████████                             │ 20.0ms
Count x8 │            ▂▃▂▃▄▄▃▆▄▆▆▆▆█▆██▆▆▆▃▃✗       │ 53.0ms
          ▁ to █ how many run, ░ waits, ✗ fails
without 3 instances that the record leaves out
slowest: Fetch instance 0 in 20.0ms, Count instance 7 in 18.0ms, Count instance 6 in 16.0ms
`},
		{"without applications", empty, timeline{width: 60}, `run AAAAAAAAAAAAAAAAAAAAAAAAAA: logcount@1, 0 instances of 0 applications in 100ms, fuel 6120
`},
	} {
		if got := c.t.draw(c.run); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// Lines fit the terminal, whatever there is to draw, and many applications do
// not fill it.
func TestTimelineFits(t *testing.T) {
	large := fixedRun()
	for i := range 100 {
		large.Applications = append(large.Applications, client.RunApplication{
			Name: strings.Repeat("Würfel/", 20) + fmt.Sprint(i), Instances: []client.RunInstance{{StartedMs: 1, EndedMs: 2}, {StartedMs: 3, EndedMs: 4}},
		})
	}
	for _, width := range []int{40, 80, 200} {
		for _, plain := range []bool{false, true} {
			text := timeline{width: width, plain: plain}.draw(large)
			rows := 0
			for line := range strings.Lines(text) {
				if edge := (timeline{plain: plain}).glyphs().edge; strings.Count(line, edge) == 2 {
					rows++
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
						t.Errorf("%d characters of %d: %q", n, width, line)
					}
				}
			}
			if rows != timelineRows || !strings.Contains(text, "and 63 applications more") {
				t.Errorf("%d rows:\n%s", rows, text)
			}
		}
	}
}

// Records that no honest server gives are drawn somehow.
func TestTimelineOfNonsense(t *testing.T) {
	for _, in := range []client.RunInstance{
		{}, {Number: -1, QueuedMs: -5, StartedMs: -3, EndedMs: -1, Fault: "x"}, {QueuedMs: 9, StartedMs: 3, EndedMs: 1},
		{QueuedMs: math.MaxFloat64, StartedMs: math.MaxFloat64, EndedMs: math.MaxFloat64, Fault: "trap"}, {QueuedMs: -math.MaxFloat64, EndedMs: math.MaxFloat64},
	} {
		in.Requests = []client.RunRequest{{}, {Method: "\x1b", Target: "\x1b\u2066", Cache: "\n\x1b", Fault: "\x1b\n", StartedMs: math.MaxFloat64, EndedMs: -math.MaxFloat64, SentBytes: -1}}
		for _, app := range []client.RunApplication{{Name: "a\x1b[31m\nb", Instances: []client.RunInstance{in}}, {Instances: []client.RunInstance{in, in, {EndedMs: 7}}}, {}} {
			for _, ended := range []time.Time{{}, time.Unix(0, 0)} {
				run := &client.Run{ID: "\n", Ended: ended, Applications: []client.RunApplication{app, {}}}
				text := timeline{width: 1, plain: true}.draw(run)
				if strings.Contains(text, "\x1b") || strings.Count(text, "\n") > 5+1+3*len(in.Requests) {
					t.Errorf("%+v: %q", in, text)
				}
			}
		}
	}
}

func TestReadsUTF8(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false}, {map[string]string{"LANG": "en_GB.UTF-8"}, true}, {map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, false}, {map[string]string{"LANG": "C", "LC_CTYPE": "C.utf8"}, true},
	} {
		cl := &commandLine{lookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
		if got := cl.readsUTF8(); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}
