// Command lab measures Pappus: the paper's experiments, peers beside it, scales
// and density, with a report of figures and tables.
//
//	lab run -set pappus     the experiments with Pappus alone ("make bench")
//	lab run -set peers      the same work by others ("make bench-peers")
//	lab run -set k6         k6's scripts ("make bench-k6")
//	lab run -set languages  functions in each language ("make bench-languages")
//	lab readme              the README's summaries of the newest results
//	lab report FOLDER …     the reports of results again, with their figures
//	lab worker KIND DIR     a peer's server, which the others start
//
// Results are a folder in bench/results, which is there when all was measured,
// and not before. With -only its name says that it is a part: DATE-SET-part.
package main
