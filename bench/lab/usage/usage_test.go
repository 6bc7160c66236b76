package usage

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("USAGE_CHILD") != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

const held = 32 << 20

// busy is how long the child computes at least.
const busy = 300 * time.Millisecond

// child is a process that holds memory until its input ends.
func child() {
	memory := make([]byte, held)
	for i := range memory {
		memory[i] = byte(i)
	}
	for {
		if used, err := CPU(os.Getpid()); err != nil || used >= busy {
			break
		}
	}
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	runtime.KeepAlive(memory)
}

// The memory and the time of a process are those of its children too.
func TestTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	before, err := Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cpuBefore, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "USAGE_CHILD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	during, err := Peak(ctx, os.Getpid(), time.Second)
	if err != nil || during-before < held {
		t.Errorf("%d bytes with the child, %d before, %v", during, before, err)
	}
	// The child's time counts while it lives, and when it was waited for. Each of the
	// four counters of a process is rounded to ticks.
	const rounded = 8 * time.Second / ticks
	own, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if now, err := CPU(os.Getpid()); err != nil || now < own+busy-rounded {
		t.Errorf("time is %v with a child that took %v, of the process alone %v, %v", now, busy, own, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if after, err := CPU(os.Getpid()); err != nil || after < cpuBefore+busy-rounded {
		t.Errorf("time went from %v to %v, %v, and a child took %v", cpuBefore, after, err, busy)
	}
}

func cpuOf(pid int) (time.Duration, error) {
	n, err := cpu(pid)
	return time.Duration(n) * time.Second / ticks, err
}

func TestNoSuchProcess(t *testing.T) {
	const none = 1 << 30 // larger than any number of a process
	if m, err := Memory(none); err == nil {
		t.Errorf("it has %d bytes", m)
	}
	if c, err := CPU(none); err == nil {
		t.Errorf("it took %v", c)
	}
}
