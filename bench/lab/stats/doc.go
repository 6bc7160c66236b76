// Package stats has the few statistics that results are made of: quantiles,
// medians over rounds, and distributions in few points.
//
// It knows nothing of the rest of the project.
package stats
