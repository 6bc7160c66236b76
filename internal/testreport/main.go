package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	logs := flag.Bool("v", false, "print also what tests that passed logged")
	flag.Parse()
	ok, err := summarise(os.Stdin, os.Stdout, *logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// summarise copies the report on the stream in to out, and says whether
// everything passed.
func summarise(in io.Reader, out io.Writer, logs bool) (bool, error) {
	r := newReport(out, logs)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := r.line(line); err != nil {
				return false, err
			}
		}
		if errors.Is(err, io.EOF) {
			return r.end()
		}
		if err != nil {
			return false, fmt.Errorf("read the test events: %w", err)
		}
	}
}
