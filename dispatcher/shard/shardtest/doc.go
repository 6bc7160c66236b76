// Package shardtest evaluates applications slowly and obviously, by nested loops
// over whole sets, so that tests have something to compare with.
//
// It is written from the definitions of the language and shares no code with
// package shard, of which it knows the types only.
package shardtest
