package samples_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"pappus/engine"
	"pappus/samples"
	"pappus/wasmengine/binary"
)

// modules are the checked-in .wasm files by their path.
func modules(t *testing.T) map[string][]byte {
	names, err := fs.Glob(samples.Files(), "*/*.wasm")
	if err != nil || len(names) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		if all[name], err = fs.ReadFile(samples.Files(), name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestModulesAreFunctions(t *testing.T) {
	for name, code := range modules(t) {
		t.Run(path.Base(name), func(t *testing.T) {
			m, err := binary.Decode(code, binary.DefaultCaps())
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Imports) != 0 {
				t.Errorf("imports: %v", m.Imports)
			}
			for export, kind := range map[string]binary.ExternKind{
				"_start":                  binary.ExternFunc,
				"memory":                  binary.ExternMemory,
				"__dandelion_system_data": binary.ExternGlobal,
			} {
				if e, ok := m.Export(export); !ok || e.Kind != kind {
					t.Errorf("export %s: %v %v", export, e, ok)
				}
			}
			if len(code) > 24<<10 {
				t.Errorf("%d bytes: not small", len(code))
			}
			section, ok := m.Custom("pappus")
			if !ok {
				t.Fatal("no manifest")
			}
			manifest, err := engine.ParseManifest(section)
			if err != nil {
				t.Fatal(err)
			}
			if manifest.Name != path.Dir(name) || manifest.Description == "" || manifest.Layout != "grow" || manifest.Signature().Open {
				t.Errorf("manifest %+v", manifest)
			}
		})
	}
}

// TestRebuild makes the modules from their sources: with the same compiler
// they must come out byte for byte as they are checked in.
func TestRebuild(t *testing.T) {
	for _, tool := range []string{"make", "clang-14", "wasm-ld-14"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends make clang lld", tool)
		}
	}
	out := t.TempDir()
	rebuild := exec.CommandContext(t.Context(), "make", "OUT="+out, "BUILD="+filepath.Join(out, "objects"))
	if log, err := rebuild.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, log)
	}
	for name, code := range modules(t) {
		built, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(built, code) {
			t.Errorf("%s is not what its sources give; run make -C samples", name)
		}
	}
}
