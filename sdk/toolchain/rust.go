package toolchain

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pappus/sdk/purify"
	"pappus/sdk/rust"
)

const (
	rustcName   = "rustc"
	rustTarget  = "wasm32-unknown-unknown"
	rustInstall = "apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld (or, with rustup: rustup target add " + rustTarget + ")"
)

// rustLanguage is Rust on sdk/rust.
func rustLanguage() *Language {
	return &Language{
		Name:    "rust",
		About:   "Rust 1.63 or newer on sdk/rust, with the standard library but for what asks a system",
		Aliases: []string{"rs"},
		Owns:    func(p *Project) bool { return p.Has("Cargo.toml") || p.File != "" && len(p.With(".rs")) > 0 },
		Tools: []Tool{
			{Name: rustcName, Programs: []string{"rustc"}, Variable: "RUSTC", Usable: hasRustTarget, Install: rustInstall},
			{Name: linkName, Programs: newest("wasm-ld"), Install: rustInstall},
		},
		SDK:      rust.Files,
		Plan:     planRust,
		Finish:   func(module []byte, _ *Build) ([]byte, error) { return onlyLines(module), nil },
		Template: []Part{{".", templateOf("rust")}, {"sdk", rust.Files}},
	}
}

// hasRustTarget reports whether a compiler has the standard library for wasm32:
// it lies beside it, or in one of rustup's toolchains.
func hasRustTarget(path string) bool {
	program, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	pattern := filepath.Join(filepath.Dir(program), "..", "lib", "rustlib", rustTarget)
	if filepath.Base(program) == "rustup" {
		home := os.Getenv("RUSTUP_HOME")
		if user, err := os.UserHomeDir(); home == "" && err == nil {
			home = filepath.Join(user, ".rustup")
		}
		pattern = filepath.Join(home, "toolchains", "*", "lib", "rustlib", rustTarget)
	}
	found, err := filepath.Glob(pattern)
	return err == nil && len(found) > 0
}

// planRust compiles the crate pappus, once for every compiler, and the project.
// The options are those of sdk/rust/README.md.
func planRust(b *Build) ([]Stage, error) {
	if err := onlyPappus(b.Project); err != nil {
		return nil, err
	}
	common := []string{"--edition=2021", "-O", "--target=" + rustTarget, "-Cpanic=abort"}
	if !b.Strip {
		common = append(common, "-Cdebuginfo=1")
	}
	args := append([]string{"--crate-type=rlib", "--crate-name=pappus", `--cfg=feature="std"`, "--remap-path-prefix=" + b.SDK + "=sdk"}, common...)
	args = append(args, filepath.Join(b.SDK, "src", "lib.rs"), "-o")
	crate := b.Cached(rustcName, args, ".rlib")
	// The compiler takes only files whose names begin with lib.
	crate = filepath.Join(filepath.Dir(crate), "lib"+filepath.Base(crate))
	source := "src/lib.rs"
	if b.File != "" {
		source = b.File
	}
	function := append([]string{"--crate-type=cdylib", "--crate-name=function", "--remap-path-prefix=" + b.Project.Dir + "=.", "-Clto", "-Clinker=" + b.tools[linkName],
		"-Clink-arg=-zstack-size=262144", "--extern=pappus=" + crate}, common...)
	if b.Strip {
		function = append(function, "-Cstrip=debuginfo")
	}
	return []Stage{
		{{Tool: rustcName, Args: append(args, MakesHere), Makes: crate}},
		{{Tool: rustcName, Args: append(append(function, b.Flags("RUSTFLAGS")...), source, "-o", b.Out)}},
	}, nil
}

// onlyPappus refuses what takes cargo to build.
func onlyPappus(p *Project) error {
	if p.File != "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(p.Dir, "Cargo.toml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dependencies := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		name, _, _ := strings.Cut(line, "=")
		switch name = strings.TrimSpace(name); {
		case strings.HasPrefix(line, "["):
			dependencies = line == "[dependencies]"
		case dependencies && name != "" && name != "pappus" && !strings.HasPrefix(name, "#"):
			return &purify.Error{
				Reason: "Cargo.toml has the dependency " + name + ", which rustc alone can't build",
				Hint:   "run cargo build --release --target " + rustTarget + ": what it makes in target is the function",
			}
		}
	}
	return err
}
