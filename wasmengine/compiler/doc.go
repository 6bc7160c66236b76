// Package compiler has modules compiled in processes of their own, which can
// be stopped: wazero's compiler can't, and takes minutes and gigabytes for
// small modules that were made for it.
//
// It owns how modules are compiled (Config, the same on both sides), where
// wazero leaves what it made (Target), the processes and the frames between
// them. Pool is the side of the parent: it keeps a bounded number of
// processes, gives each one module after another, holds every module to its
// own time and memory, and ends a process that died, hung, said nonsense, has
// grown, is old or idle. Work is the side of the child.
//
// It knows wazero and package engine, not what modules mean, and nothing of
// caches: a module is compiled into a folder, and what becomes of that is the
// caller's business. A child is believed in nothing but its verdict: its
// memory is looked at from outside, and of what it leaves only one file, under
// the one name that wazero will look for.
//
// Locks: Pool.mu, alone. It is never held while a process is waited for.
package compiler
