// sumoccurrence in Go: counts how often a pattern occurs in log files. It takes
// and gives what ../../sumoccurrence does.
//
// Exit code 1: the pattern is missing or empty.
package main

import (
	"bytes"
	"errors"
	"strconv"

	"pappus/sdk/go/pappus"
)

func main() { pappus.Main(run) }

func run(in pappus.Inputs) (pappus.Outputs, error) {
	pattern, err := in.One("pattern")
	if err != nil {
		return nil, err
	}
	find := pattern.Data
	if line, ok := bytes.CutSuffix(find, []byte("\n")); ok {
		find = bytes.TrimSuffix(line, []byte("\r"))
	}
	if len(find) == 0 {
		return nil, errors.New("the pattern is empty")
	}
	sum := 0
	for _, log := range in["logs"] {
		sum += bytes.Count(log.Data, find)
	}
	out := pappus.Outputs{}
	out.Add("counts", "counts", append(strconv.AppendInt(nil, int64(sum), 10), '\n'))
	return out, nil
}
