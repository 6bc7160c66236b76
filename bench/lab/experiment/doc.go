// Package experiment has what is measured, each experiment in a file of its own:
// it starts servers, loads them, and makes series of what comes.
//
// A call is hot if its function's code is loaded when it comes, and cold if the
// code must come from the disk first, compiled as an earlier call or the
// registration left it there. Either way it gets an isolate of its own. To have
// cold calls, the server may keep little code loaded, and those calls go through
// many functions in turn; how often code was loaded is measured too.
//
// Whatever is compared is measured in rounds, in each of which all have a turn,
// so that what else the machine does meets all, and a figure is the median of
// the rounds. What was not as it should be (calls dropped or refused) is said
// with the figure.
package experiment
