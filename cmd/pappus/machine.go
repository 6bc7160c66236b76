package main

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Bounds of the memory budget that is not asked for: what a machine that says
// nothing about itself is taken to have, and what the smallest one gets.
const (
	assumedMemory = 4 << 30
	leastBudget   = 64 << 20
)

// memoryBudget is half of the memory that this process may use, in bytes. The
// other half is for the Go heap, compile processes and the page cache.
func memoryBudget(root fs.FS) int64 {
	memory := int64(assumedMemory)
	if total, ok := totalMemory(root); ok {
		memory = total
	}
	if limit, ok := groupMemory(root); ok {
		memory = min(memory, limit)
	}
	return max(memory/2>>20<<20, leastBudget)
}

// totalMemory is the machine's memory.
func totalMemory(root fs.FS) (int64, bool) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 53)
			return kib << 10, err == nil && kib > 0
		}
	}
	return 0, false
}

// groupMemory is the lowest limit of the control groups that this process is
// in: as containers and services are bounded.
func groupMemory(root fs.FS) (int64, bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	lowest := int64(-1)
	note := func(file string) {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && (lowest < 0 || n < lowest) {
			lowest = n // "max" is no number
		}
	}
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path; version 2 has no controllers
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		if parts[1] == "memory" {
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			note(path.Join(base, group, file))
			if group == "/" {
				break
			}
		}
	}
	return lowest, lowest > 0
}
