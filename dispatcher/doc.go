// Package dispatcher decides what runs, when and in how much memory.
//
// It owns permits (who may use a processor), the memory budget (of contexts,
// bodies and unread answers), the loaded programs and the pool that prepares
// them, and the path of an invocation from its inputs to its answer. It knows
// packages registry, iofuncs, engine and data, the names of engines but not their
// packages, and nothing of HTTP.
//
// An invocation of a function is one instance of one application: Invoke makes
// the inputs fit the signature and then runs that instance. What runs a graph
// makes several instances under the same rules. A call of an I/O function is one
// application too, but waits for the world elsewhere than instances compute:
// ioPool has its slots, and it holds no permit.
//
// # Lock order
//
// Every type here has at most one mutex, and none is held while another is
// taken, while a channel is waited on, or while an engine, the registry or a
// logger is called. The mutexes are those of permits, Budget, programs, compilePool
// and ioPool. Only a run's mutex may be held while one of these is taken, and
// nobody takes it who holds one. An instance may come to take it on the way to a
// permit or to memory (worker.settle), and holds none then.
package dispatcher
