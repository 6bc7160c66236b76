// Package load makes calls and measures how long they take, in two ways.
//
// Open makes them at a rate, whether or not the ones before were answered, as
// users do who know nothing of each other. A call's latency counts from when it
// was due, so that a call that had to wait for a connection, or for a client
// that was late, is as slow as its user saw it. What could not even wait is
// counted as dropped, and the measurement is not what was asked for.
//
// Closed makes on each connection a call as soon as the one before was
// answered, which finds the most that a server answers, and says little of
// latency.
//
// Both are bounded in connections, calls that wait, and time. How a call is
// made is the caller's: the package knows nothing of HTTP.
package load
