// Package shard says which instances an application has: how the sets that are
// given to its parameters are divided, multiplied and joined, and in which order
// the instances stand (Plan); which of them there are while a set is still being
// made (Stream); and how what they make comes together (Output).
//
// It owns these semantics and nothing else: it knows items and sets, and neither
// the language in which graphs are written nor how instances are run.
package shard
