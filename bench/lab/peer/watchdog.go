package peer

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// watchdog is OpenFaaS's of-watchdog, which starts a process for each call. Each
// function has a watchdog of its own, in production in a container of its own,
// which is not measured here.
type watchdog struct{ Setup }

func (*watchdog) Name() string  { return "of-watchdog" }
func (*watchdog) Gives() string { return "a new process (without the container around it)" }

func (w *watchdog) Start(ctx context.Context, _ int) (*Running, error) {
	program := w.Watchdog
	if program == "" {
		var err error
		if program, err = exec.LookPath("of-watchdog"); err != nil {
			return nil, skip("there is no of-watchdog in the search path%s", w.unbuilt())
		}
	} else if _, err := os.Stat(program); err != nil {
		return nil, skip("%v", err)
	}
	code, err := w.program(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := w.folder("watchdog", 1, ".bin", func(int) []byte { return code })
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(),
		"mode=streaming", // a process for each call
		"fprocess="+filepath.Join(folder, "0.bin"),
		"port="+port, // and 8081 for metrics, always
		"suppress_lock=true", "prefix_logs=false")
	s, err := listening(ctx, cmd, "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	// Of what it says there is a line or more for each call. When it is told to end it
	// waits for others to notice first.
	return &Running{Addr: s.addr, Path: func(int) string { return "/" }, PID: cmd.Process.Pid, Functions: 1, Stop: s.kill}, nil
}

// unbuilt is how building it failed: the last line that was said, which is the
// error and not what was fetched before.
func (w *watchdog) unbuilt() string {
	said, err := os.ReadFile(w.WatchdogLog)
	if err != nil {
		return "" // nobody tried
	}
	said = bytes.TrimSpace(said)
	last := bytes.TrimSpace(said[bytes.LastIndexByte(said, '\n')+1:])
	if len(last) == 0 {
		return ", and building it from its Go module failed"
	}
	return ", and building it from its Go module failed: " + strings.ToValidUTF8(string(last), "?")
}
