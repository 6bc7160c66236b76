package main

import (
	"testing"

	"pappus/sdk/script/run/runtest"
)

func TestCases(t *testing.T) { runtest.Cases(t, newInterpreter, "main.star") }

func TestFailures(t *testing.T) { runtest.Failures(t, newInterpreter, "main.star") }
