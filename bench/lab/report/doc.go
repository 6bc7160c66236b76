// Package report makes of results what people read: figures, a report with all
// of them and the numbers, and the summary that stands in the README, which is
// generated so that no number in it is another than was measured.
//
// It knows the names of experiments and of their values, and nothing of how they
// are measured.
package report
