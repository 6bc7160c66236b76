// grep finds lines: those of files that match a regular expression.
//
// pattern is the expression, in the syntax of Go's package regexp, whose time
// grows with the text and in no other way; a line end behind it is not part of
// it. matches gets a line NAME:NUMBER:LINE for each line that matches. Files with
// a zero byte are not text, and passed over.
//
// Exit code 1: the pattern is missing or wrong.
package main

import (
	"bytes"
	"fmt"
	"regexp"

	"pappus/sdk/go/pappus"
)

func main() { pappus.Main(run) }

func run(in pappus.Inputs) (pappus.Outputs, error) {
	pattern, err := in.One("pattern")
	if err != nil {
		return nil, err
	}
	expression, err := regexp.Compile(string(bytes.TrimRight(pattern.Data, "\r\n")))
	if err != nil {
		return nil, err
	}
	var found bytes.Buffer
	for _, file := range in["files"] {
		if bytes.IndexByte(file.Data, 0) >= 0 {
			continue
		}
		number := 0
		for line := range bytes.Lines(file.Data) {
			number++
			line = bytes.TrimRight(line, "\r\n")
			if expression.Match(line) {
				fmt.Fprintf(&found, "%s:%d:%s\n", file.Name, number, line)
			}
		}
	}
	out := pappus.Outputs{}
	out.Add("matches", "matches", found.Bytes())
	return out, nil
}
