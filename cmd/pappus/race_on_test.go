//go:build race

package main_test

// raceFlag has the program built as the tests are.
func raceFlag() []string { return []string{"-race"} }
