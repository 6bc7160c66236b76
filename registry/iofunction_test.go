package registry

import (
	"errors"
	"strings"
	"testing"
)

// applyingIO is a composition of f and of an I/O function.
func applyingIO(t testing.TB, r *Registry, name string) Registration {
	reg := composition(t, r, name, "f")
	reg.Uses = append(reg.Uses, Use{Name: "HTTP", IO: true, Signature: function("", "", sets("requests"), sets("headers", "bodies")).Signature})
	return reg
}

// Rows about I/O functions are kept with the others, need nothing that is
// registered, and hold nothing back.
func TestIOFunctions(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	put(t, r, registration("f", "one"))
	put(t, r, composition(t, r, "pure", "f"))
	if format := directoryFormat(t, r); format != "2" {
		t.Errorf("without I/O functions it has format %s", format)
	}
	first := put(t, r, applyingIO(t, r, "c"))
	put(t, r, composition(t, r, "d", "c@1"))
	if format := directoryFormat(t, r); format != "3" {
		t.Errorf("with I/O functions it has format %s", format)
	}
	if again, created, err := r.Put(t.Context(), applyingIO(t, r, "c")); err != nil || created || again.Number != 1 {
		t.Errorf("the same again: %v, %v, %v", again, created, err)
	}
	other := applyingIO(t, r, "c")
	other.Uses[1].Signature.Outputs = sets("bodies")
	if v := put(t, r, other); v.Digest == first.Digest {
		t.Error("checked against other sets, it is the same version")
	}
	put(t, r, composition(t, r, "pure2", "f"))
	if format := directoryFormat(t, r); format != "3" {
		t.Errorf("the format went back to %s", format)
	}
	for range 2 { // read from the store, and from memory
		found, err := r.ResolveAll(t.Context(), DefaultTenant, parse(t, "d"))
		if err != nil {
			t.Fatal(err)
		}
		io := found[0].Uses[0].Uses[1].Version
		if io.Kind != KindIO || io.Name != "HTTP" || io.Number != 0 || len(io.Signature.Outputs) != 2 {
			t.Errorf("%+v", io)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	v, err := r.Resolve(t.Context(), DefaultTenant, parse(t, "c@1"))
	if err != nil || len(v.Uses) != 2 || !v.Uses[1].IO || v.Uses[0].IO {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := r.Resolve(t.Context(), DefaultTenant, parse(t, "HTTP")); !errors.As(err, new(*NotFoundError)) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"d", "c", "pure", "pure2", "f"} {
		if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: name}, Change{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedIOFunctions(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	for want, change := range map[string]func(*Use){
		"reserved":    func(u *Use) { u.IO = false },
		"if, and":     func(u *Use) { u.Name = "fetch" },
		"no versions": func(u *Use) { u.Tag = "prod" },
		"or tags":     func(u *Use) { u.Number = 3 },
	} {
		reg := applyingIO(t, r, "c")
		change(&reg.Uses[1])
		if _, _, err := r.Put(t.Context(), reg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
