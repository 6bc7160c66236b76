package main

import (
	"testing"

	"pappus/sdk/go/pappus"
)

func TestCases(t *testing.T) { pappus.Test(t, "../../render/cases", run) }
