package chericapengine

import "testing"

// What no kernel announces is looked for all the same: its instructions are
// undefined here.
func TestNativeProbesSayNo(t *testing.T) {
	if announced() {
		t.Log("the kernel has one of the bits")
	}
	if d, err := newNative(); err == nil {
		t.Skipf("this is a Morello board: %v", d)
	}
	// The process comes as far as the instruction, and to the handler of SIGILL.
	if status, err := probe(); err != nil || status != 1 {
		t.Errorf("the process that looks for capabilities ends with %d, %v", status, err)
	}
}
