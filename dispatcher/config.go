package dispatcher

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/iofuncs"
)

// Config says how much may happen at once. Zero values stand for the defaults.
type Config struct {
	Workers      int           // permits; default GOMAXPROCS
	Quantum      time.Duration // how long an instance keeps its permit while others wait; default 10 ms
	QueueTimeout time.Duration // how long an invocation waits for its first instance to start; default 5 s
	Waiting      int           // invocations of one tenant that may wait; default 1,024
	Strict       bool          // instances are never parked: they keep their permit to their end

	// MemoryBudget is the bytes for contexts, bodies and unread answers
	// together; default 2 GiB. A quarter is for bodies.
	MemoryBudget int64

	CompileWorkers int           // programs prepared at once; default 2, or 1 on one processor
	CompileTimeout time.Duration // for preparing one program; default 30 s
	CompileWaiting int           // programs that may wait to be prepared; default 64
	ProgramBytes   int64         // bytes of loaded programs; idle ones beyond that are closed; default DefaultProgramBytes

	Run RunLimits // of compositions

	// Memo remembers results; nil: nothing does. It stays the caller's, who closes
	// it after the dispatcher.
	Memo *memo.Memo

	IO          IOLimits          // of calls of I/O functions
	IOFunctions *iofuncs.Registry // those there are, besides system_Invoke; nil: no others

	Defaults, Maximum engine.Limits // of functions; default engine.DefaultLimits, where Maximum is not lower, and engine.MaxLimits
	MaxCode           int64         // bytes of code; default 64 MiB
}

// DefaultProgramBytes bounds loaded programs unless it is said otherwise: some
// five hundred small ones, whose share of the process is some times as much
// before it is collected. Loading one again takes about a millisecond.
const DefaultProgramBytes = 64 << 20

func (c Config) withDefaults() Config {
	c.Workers = orDefault(c.Workers, runtime.GOMAXPROCS(0))
	c.Quantum = orDefault(c.Quantum, 10*time.Millisecond)
	c.QueueTimeout = orDefault(c.QueueTimeout, 5*time.Second)
	c.Waiting = orDefault(c.Waiting, 1024)
	c.MemoryBudget = orDefault(c.MemoryBudget, 2<<30)
	c.CompileWorkers = orDefault(c.CompileWorkers, min(2, runtime.GOMAXPROCS(0)))
	c.CompileTimeout = orDefault(c.CompileTimeout, 30*time.Second)
	c.CompileWaiting = orDefault(c.CompileWaiting, 64)
	c.ProgramBytes = orDefault(c.ProgramBytes, DefaultProgramBytes)
	c.MaxCode = orDefault(c.MaxCode, 64<<20)
	c.Run = c.Run.withDefaults(c.MemoryBudget)
	c.IO = c.IO.withDefaults()
	c.Maximum = c.Maximum.Or(engine.MaxLimits())
	c.Defaults = c.Defaults.Or(engine.DefaultLimits().AtMost(c.Maximum))
	return c
}

// MaxWorkers is the most permits there may be. It leaves threads for everything
// else: Go ends a process that has 10,000.
const MaxWorkers = 1024

// MinMemoryBudget is the smallest memory budget, in bytes.
const MinMemoryBudget = 4 << 20

// HighestLimits are those above which no Maximum can be; zero ones can be any.
// Beyond them no engine could keep its word.
func HighestLimits() engine.Limits {
	highest := engine.MaxLimits()
	return engine.Limits{Memory: highest.Memory, Stack: highest.Stack}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Check returns an error if a dispatcher would refuse the configuration.
func (c Config) Check() error {
	_, _, err := c.settle()
	return err
}

// shares divides the memory budget into what bodies and contexts have.
func (c Config) shares() (bodies, contexts int64) {
	bodies = c.MemoryBudget / bodyShare
	return bodies, c.MemoryBudget - bodies
}

// RunLimits are the limits that runs have in a dispatcher with this configuration.
func (c Config) RunLimits() RunLimits { return c.withDefaults().Run }

// IOLimits are the limits of calls of I/O functions in such a dispatcher.
func (c Config) IOLimits() IOLimits { return c.withDefaults().IO }

// settle returns the configuration that holds: with defaults, and with limits
// that the memory budget can keep, and whether it lowers one.
func (c Config) settle() (settled Config, lowered bool, err error) {
	c = c.withDefaults()
	if _, contexts := c.shares(); int64(c.Maximum.Memory) > contexts {
		lowered = true
		c.Maximum.Memory = engine.Bytes(contexts / engine.PageSize * engine.PageSize)
		c.Defaults.Memory = min(c.Defaults.Memory, c.Maximum.Memory)
	}
	return c, lowered, c.check()
}

// Limits are the limits that a dispatcher with this configuration gives to
// functions that ask for none, and the highest that one may ask for.
func (c Config) Limits() (defaults, maximum engine.Limits) {
	settled, _, _ := c.settle() // what is wrong with it, Check says
	return settled.Defaults, settled.Maximum
}

func (c Config) tellLowered(log *slog.Logger) {
	log.Info("the memory budget lowers the largest memory limit of functions",
		slog.String("budget", engine.Bytes(c.MemoryBudget).String()), slog.String("limit", c.Maximum.Memory.String()))
}

func (c Config) check() error {
	for _, v := range []struct {
		name     string
		negative bool
		value    any
	}{
		{"workers", c.Workers < 0, c.Workers}, {"quantum", c.Quantum < 0, c.Quantum}, {"queue timeout", c.QueueTimeout < 0, c.QueueTimeout},
		{"waiting", c.Waiting < 0, c.Waiting}, {"compile workers", c.CompileWorkers < 0, c.CompileWorkers},
		{"compile timeout", c.CompileTimeout < 0, c.CompileTimeout}, {"compile waiting", c.CompileWaiting < 0, c.CompileWaiting},
		{"calls of I/O functions", c.IO.Calls < 0, c.IO.Calls}, {"a tenant's calls of I/O functions", c.IO.TenantCalls < 0, c.IO.TenantCalls},
		{"program bytes", c.ProgramBytes < 0, c.ProgramBytes}, {"largest code", c.MaxCode < 0, c.MaxCode},
	} {
		if v.negative {
			return fmt.Errorf("%s is negative: %v", v.name, v.value)
		}
	}
	if c.Workers > MaxWorkers {
		return fmt.Errorf("workers is %d; the most is %d", c.Workers, MaxWorkers)
	}
	if c.MemoryBudget < MinMemoryBudget {
		return fmt.Errorf("memory budget is %s; the least is %s", engine.Bytes(c.MemoryBudget), engine.Bytes(MinMemoryBudget))
	}
	if err := (engine.Limits{Memory: c.Maximum.Memory, Stack: c.Maximum.Stack}).Check(HighestLimits()); err != nil {
		return fmt.Errorf("maximum limits: %w", err)
	}
	if err := c.Defaults.Check(c.Maximum); err != nil {
		return fmt.Errorf("default limits: %w", err)
	}
	return nil
}
