package main

import (
	"testing"
	"testing/fstest"
)

func TestMemoryBudget(t *testing.T) {
	const meminfo = "MemTotal:       16384000 kB\nMemFree:         1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {nil, 2 << 30},
		"a machine":        {map[string]string{"proc/meminfo": meminfo}, 8000 << 20},
		"a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, 512 << 20},
		"a service within a slice": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/pappus.service\n",
			"sys/fs/cgroup/system.slice/memory.max":                "2147483648\n",
			"sys/fs/cgroup/system.slice/pappus.service/memory.max": "max\n",
		}, 1 << 30},
		"version 1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "536870912\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 256 << 20},
		"no limit":         {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8000 << 20},
		"a tiny container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576\n"}, 64 << 20},
		"nonsense": {map[string]string{
			"proc/meminfo": "MemTotal: lots\n", "proc/self/cgroup": "x\n::\n0::../../..\n", "sys/fs/cgroup/memory.max": "-5",
		}, 2 << 30},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := memoryBudget(root); got != c.want {
			t.Errorf("%s: %d MiB, want %d MiB", name, got>>20, c.want>>20)
		}
	}
}
