package compiler

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/cpu"

	"pappus/engine"
)

// features are the parts of WebAssembly that modules may use: what package
// wasmengine/binary decodes.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// Config is how modules are compiled and run. What one process has compiled
// another finds only if it is the same in both.
func Config() wazero.RuntimeConfig { return Configured(wazero.NewRuntimeConfigCompiler()) }

// Configured says what modules may use, whatever runs them. What wazero reads of
// debug information is nothing that others wrote: the metered module has none
// but what package wasmengine gives it.
func Configured(c wazero.RuntimeConfig) wazero.RuntimeConfig {
	return c.WithCoreFeatures(features).
		WithMemoryLimitPages(engine.MaxPages).
		WithDebugInfoEnabled(true)
}

// Target is everything but the module that machine code depends on: the
// compiler and its version, the architecture, and the features of the
// processor that the compiler looks at.
type Target struct {
	folder    string // the name that wazero gives to its folder
	processor uint64
}

// ThisTarget is what this process compiles for.
func ThisTarget() Target {
	// It has wazero look up its version, which it notes in a variable without a
	// lock, before several goroutines have it do that at once.
	ctx := context.Background()
	_ = wazero.NewRuntimeWithConfig(ctx, Config()).Close(ctx) // there is nothing in it yet
	return Target{"wazero-" + version() + "-" + runtime.GOARCH + "-" + runtime.GOOS, processor()}
}

// String is different for targets that differ.
func (t Target) String() string { return t.folder + " " + strconv.FormatUint(t.processor, 16) }

// File is where wazero leaves the machine code of a module, and looks for it:
// a path within the folder that it compiles into. wazero does not tell, so
// this repeats what it computes, and a test compares the two.
func (t Target) File(code []byte) string {
	h := sha256.New()
	h.Write(code)
	h.Write([]byte{0}) // no termination by the context; there are no listeners
	id := h.Sum(nil)
	h.Reset()
	h.Write(id)
	h.Write([]byte("WAZEVO"))
	h.Write(binary.LittleEndian.AppendUint64(nil, t.processor))
	return filepath.Join(t.folder, hex.EncodeToString(h.Sum(nil)))
}

// version is wazero's idea of its own version.
func version() string {
	v := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, "github.com/tetratelabs/wazero") {
				v = dep.Version
			}
		}
		if v == "" || v == "(devel)" {
			v = info.Main.Version
		}
	}
	if v == "" || v == "(devel)" {
		v = "dev"
	}
	return v
}

// processor is wazero's set of the processor's features.
func processor() uint64 {
	var set uint64
	for i, has := range [...]bool{
		cpu.X86.HasSSE41 || cpu.ARM64.HasATOMICS, // of the two one is always false
		cpu.X86.HasBMI1,
		cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT,
	} {
		if has {
			set |= 1 << i
		}
	}
	return set
}
