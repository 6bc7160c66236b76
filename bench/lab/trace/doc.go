// Package trace makes up a day of calls of many functions whose shape is that
// which was published of Azure Functions, and computes how much memory policies
// commit that keep a sandbox for a while after a call.
//
// The shape is that of Shahrad et al., "Serverless in the Wild: Characterizing
// and Optimizing the Serverless Workload at a Large Cloud Provider", USENIX ATC
// 2020, which gives it for applications: 45 % are called once an hour or less in
// the mean, 81 % once a minute or less, and the others, some 19 %, have 99.6 % of
// all calls; the mean time that functions take follows a log-normal distribution
// with parameters −0.38 and 2.36, in seconds. Nothing of the trace's data itself
// is used, and none is needed.
//
// The policies are computed by their rule and not measured. The package knows
// nothing of servers.
package trace
