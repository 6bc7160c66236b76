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

// child is a process that holds memory until its input ends.
func child() {
	memory := make([]byte, held)
	for i := range memory {
		memory[i] = byte(i)
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
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if after, err := CPU(os.Getpid()); err != nil || after < cpuBefore {
		t.Errorf("time went from %v to %v, %v", cpuBefore, after, err)
	}
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
