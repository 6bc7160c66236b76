package main

import (
	"testing"

	"pappus/sdk/go/pappus"
)

func TestCases(t *testing.T) { pappus.Test(t, "../../markdown/cases", function(converter())) }
