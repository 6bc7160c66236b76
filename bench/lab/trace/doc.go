// Package trace makes up a day of calls of many functions whose shape is that
// which was published of Azure Functions, and computes how much memory policies
// commit that keep a sandbox for a while after a call.
//
// The shape is that of Shahrad et al., "Serverless in the Wild: Characterizing
// and Optimizing the Serverless Workload at a Large Cloud Provider", USENIX ATC
// 2020 (arXiv 2003.03423). Published there, and used as it is:
//
//   - Figure 5(a): 45 % of applications are called once an hour or less in the
//     mean, 81 % once a minute or less.
//   - Figure 5(b): the 18.6 % that are called at least once a minute have 99.6 % of
//     all calls.
//   - Figure 7: the mean times that functions take follow a log-normal
//     distribution, with a log mean of −0.38 and a σ of 2.36, in seconds.
//   - Figure 2: timers call 15.6 % of functions.
//   - Figure 4: half of the calls at the busiest hour are there at every hour.
//
// Assumed, since no number for it is published:
//
//   - An application has one function; 54 % of those of figure 1 have.
//   - Rates between the quantiles are evenly spread in their logarithm, from one call
//     a day on. The published range is larger, over eight orders of magnitude: those
//     that are called less than once a day are not in a day.
//   - The most called function has as many calls as make those 99.6 % true. A day has
//     that share of calls as long as Params.Cap is 0.
//   - Calls that no timer makes come as of a Poisson process, whose rate is a cosine
//     over the day. That figure 6 has applications whose calls come in bursts is left
//     out; bursts would need more sandboxes.
//   - No call takes longer than five minutes; all calls of a function take its mean.
//
// Nothing of the trace's data itself is used, and none is needed. The policies are
// computed by their rule and not measured. The package knows nothing of servers.
package trace
