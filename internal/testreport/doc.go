// Command testreport reads the JSON stream of one or more runs of "go test
// -json" from its standard input and tells a person what they need: a line
// for each package as it ends, the output of every test that failed, and at
// the end the line "N passed, M failed", with ", K skipped" if any were.
//
// A test that ran several times, with the race detector and without, counts
// once, with the worst of its outcomes. A package that fails although none of
// its tests did (it does not compile, or leaked goroutines) counts as one
// failure. The exit code is 1 if anything failed or no test ran at all.
//
// It knows nothing of the rest of the project.
package main
