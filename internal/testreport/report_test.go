package main

import (
	"errors"
	"strings"
	"testing"
)

func TestSummarise(t *testing.T) {
	tests := []struct {
		name   string
		logs   bool
		stream []string
		want   string
		ok     bool
	}{
		{
			name: "passed and skipped",
			stream: []string{
				`{"Action":"start","Package":"p"}`,
				`{"Action":"run","Package":"p","Test":"A"}`,
				`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: a log\n"}`,
				`{"Action":"pass","Package":"p","Test":"A","Elapsed":1}`,
				`{"Action":"skip","Package":"p","Test":"B"}`,
				`{"Action":"pass","Package":"p","Elapsed":1.25}`,
			},
			want: "ok    p 1.2s\n1 passed, 0 failed, 1 skipped\n",
			ok:   true,
		},
		{
			name: "logs of what passed",
			logs: true,
			stream: []string{
				`{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}`,
				`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: a log\n"}`,
				`{"Action":"output","Package":"p","Test":"A","Output":"--- PASS: A (1.00s)\n"}`,
				`{"Action":"pass","Package":"p","Test":"A","Elapsed":1}`,
				`{"Action":"output","Package":"p","Test":"B","Output":"=== RUN   B\n"}`,
				`{"Action":"pass","Package":"p","Test":"B","Elapsed":1}`,
			},
			want: "--- p A\n        a_test.go:1: a log\n2 passed, 0 failed\n",
			ok:   true,
		},
		{
			name: "a failure shows its output and fails the package only once",
			stream: []string{
				`{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}`,
				`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:9: got 1, want 2\n"}`,
				`{"Action":"fail","Package":"p","Test":"A","Elapsed":0.5}`,
				`{"Action":"output","Package":"p","Output":"FAIL\n"}`,
				`{"Action":"fail","Package":"p","Elapsed":0.5}`,
			},
			want: "--- p A failed\n        a_test.go:9: got 1, want 2\n    FAIL\nFAIL  p 0.5s\n0 passed, 1 failed\n",
		},
		{
			name: "the worse of two runs counts",
			stream: []string{
				`{"Action":"pass","Package":"p","Test":"A"}`,
				`{"Action":"fail","Package":"p","Test":"A"}`,
				`{"Action":"pass","Package":"p","Test":"A"}`,
			},
			want: "--- p A failed\n0 passed, 1 failed\n",
		},
		{
			name: "skipped in one run, passed in another",
			stream: []string{
				`{"Action":"pass","Package":"p","Test":"A"}`,
				`{"Action":"skip","Package":"p","Test":"A"}`,
			},
			want: "1 passed, 0 failed\n",
			ok:   true,
		},
		{
			name: "a package that does not compile",
			stream: []string{
				`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:3: undefined: x\n"}`,
				`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`,
				`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
				`{"Action":"pass","Package":"q","Test":"A"}`,
			},
			want: "p/a.go:3: undefined: x\n    FAIL\tp [build failed]\nFAIL  p 0.0s\n1 passed, 1 failed\n",
		},
		{
			name: "tests passed but the package failed, with goroutines left over",
			stream: []string{
				`{"Action":"pass","Package":"p","Test":"A"}`,
				`{"Action":"output","Package":"p","Output":"goleak: found unexpected goroutines\n"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			want: "    goleak: found unexpected goroutines\nFAIL  p 0.0s\n1 passed, 1 failed\n",
		},
		{
			name: "the process died in the middle of a test",
			stream: []string{
				`{"Action":"output","Package":"p","Test":"A","Output":"panic: out of range\n"}`,
				`{"Action":"output","Package":"q","Test":"A","Output":"still running\n"}`,
				`{"Action":"fail","Package":"p"}`,
				`{"Action":"pass","Package":"q","Test":"A"}`,
			},
			want: "--- p A did not end\n    panic: out of range\nFAIL  p 0.0s\n1 passed, 1 failed\n",
		},
		{
			name:   "what is no event is passed on",
			stream: []string{`go: no such module`, `{not json`, `{"Action":"pass","Package":"p","Test":"A"}`},
			want:   "go: no such module\n{not json\n1 passed, 0 failed\n",
			ok:     true,
		},
		{
			name: "nothing ran",
			want: "0 passed, 0 failed\n",
		},
		{
			name:   "all skipped",
			stream: []string{`{"Action":"skip","Package":"p","Test":"A"}`},
			want:   "0 passed, 0 failed, 1 skipped\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The last line may lack its end.
			var out strings.Builder
			ok, err := summarise(strings.NewReader(strings.Join(test.stream, "\n")), &out, test.logs)
			if err != nil {
				t.Fatal(err)
			}
			if got := out.String(); !strings.HasSuffix(got, "\n") || strings.ReplaceAll(got, "\n\n", "\n") != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if ok != test.ok {
				t.Errorf("ok is %t, want %t", ok, test.ok)
			}
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBrokenPipe }

var errBrokenPipe = errors.New("broken pipe")

func TestSummariseReportsItsOwnFailure(t *testing.T) {
	ok, err := summarise(strings.NewReader("x\n"), brokenPipe{}, false)
	if !errors.Is(err, errBrokenPipe) || ok {
		t.Errorf("got %t, %v, want false, %v", ok, err, errBrokenPipe)
	}
}
