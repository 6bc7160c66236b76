package viewer

import "testing"

// Clients that take no gzip share what was unpacked.
func TestPlainIsShared(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		first, err := f.Plain()
		if err != nil {
			t.Fatal(name, err)
		}
		second, err := f.Plain()
		if err != nil {
			t.Fatal(name, err)
		}
		if len(first) == 0 || len(first) < len(f.Compressed) || len(first) != len(second) || &first[0] != &second[0] {
			t.Errorf("%s is unpacked for every client: %d and %d bytes", name, len(first), len(second))
		}
	}
}
