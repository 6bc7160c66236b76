// Command loopback measures what "pappus serve" costs over loopback HTTP.
//
//	loopback -pappus bin/pappus
//
// It starts the server with a temporary data folder and prints
//
//   - the throughput of a function that multiplies a 1×1 matrix, and that of a
//     bare echo handler which reads the body and answers as many bytes, at 16
//     and 128 connections, and their ratio. The two take turns, so that what
//     else the machine does meets both, and medians are compared;
//   - the latency of calls at half of that load;
//   - the throughput of a call with about 1 KiB of inputs and outputs whose result
//     is remembered, and that of the echo handler with as many;
//   - the latency of the first call of functions since the server was started,
//     whose code comes from the disk, and that of their second;
//   - the latency of short calls that come at a fixed rate, alone and beside
//     two endless loops for each core, and the ratio of the 99th percentiles;
//     beside the loops also that of the server's own pages.
//
// With the verb functions it registers 10,000 functions instead, and prints how
// long calls take whose function must be loaded from disk first, how long those
// of ten functions take before and after there are the others, and what the
// server keeps resident.
//
// The server, the echo handler and the client are a process each; the last two
// are this program again, with the verbs echo and load. Every answer is
// checked: a request that is not answered rightly ends the measurement.
//
// It knows nothing of the rest of the project but the HTTP API and the samples.
package main
