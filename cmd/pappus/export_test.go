package main

import "strings"

// Example is a command line of a verb's help.
type Example struct{ Verb, Line string }

// HelpExamples lists what the help of every verb shows.
func HelpExamples() []Example {
	var list []Example
	for _, cmd := range verbs() {
		for _, line := range strings.Split(unindented(cmd.Example), "\n") {
			list = append(list, Example{cmd.CommandPath(), line})
		}
	}
	return list
}
