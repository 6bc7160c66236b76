package result

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Here describes this machine as well as its system tells; what it does not
// tell is empty.
func Here(ctx context.Context) Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Kernel: FirstLine(ctx, "uname", "-sr")}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kib, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 48); err == nil {
		m.Memory = kib << 10
	}
	m.Load = Load()
	return m
}

// Load is the load average of the last minute, or 0 where the system tells none.
func Load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, _ := strconv.ParseFloat(first, 64) // 0 if it is no number
	return load
}

// field is what a file of the system says behind "name:".
func field(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// FirstLine is what a command prints first, or nothing if it fails.
func FirstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// Checkout is the commit of the repository in a folder, and whether anything
// differs from it.
func Checkout(ctx context.Context, folder string) (commit string, modified bool) {
	commit = FirstLine(ctx, "git", "-C", folder, "rev-parse", "--short=12", "HEAD")
	return commit, FirstLine(ctx, "git", "-C", folder, "status", "--porcelain", "--untracked-files=no") != ""
}
