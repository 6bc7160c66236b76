package process

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A server ends with the process that started it, even if that is killed.
func TestEndsWithParent(t *testing.T) {
	parent, err := Start(t.Context(), os.Args[0], "parent")
	if err != nil {
		t.Fatal(err)
	}
	child := "/proc/" + parent.Addr + "/stat" // what it says is its server's number
	if _, err := os.Stat(child); err != nil {
		t.Fatal(err)
	}
	if err := parent.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Stop(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the parent ended with %v", err)
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		// Nobody may wait for it, and then it stays as a zombie.
		if b, err := os.ReadFile(child); err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("process %s lives", parent.Addr)
		}
	}
}
