package toolchain

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const libcInstall = "apt-get install -y --no-install-recommends clang lld wasi-libc libclang-rt-14-dev-wasm32"

// libcTools are what wasi-libc takes, besides compilers.
func libcTools(install string) []Tool {
	return []Tool{
		{Name: linkName, Programs: newest("wasm-ld"), Install: install},
		{Name: "wasi-libc", Files: []string{"/usr/lib/wasm32-wasi/libc.a"}, Install: install},
		{Name: "libclang_rt.builtins-wasm32.a", Files: []string{"/usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a"}, Install: install},
	}
}

// cLibcLanguage is C on wasi-libc, with the libc layer of sdk/c below it.
func cLibcLanguage() *Language {
	return &Language{
		Name:    "c-libc",
		About:   "C with a libc: files, stdin and stdout are items; for programs that there are",
		Aliases: []string{"clibc", "libc"},
		Owns:    func(p *Project) bool { return len(cSources(p)) > 0 && len(cppSources(p)) == 0 && usesLibc(p) },
		Tools:   append([]Tool{{Name: clangName, Programs: newest("clang"), Variable: "CC", Install: libcInstall}}, libcTools(libcInstall)...),

		SDK:      sdkC(),
		Plan:     func(b *Build) ([]Stage, error) { return planLibc(b, clangName) },
		Finish:   finishLinked,
		Template: []Part{{".", templateOf("c-libc")}},
	}
}

// cppLibcLanguage is C++ on libc++, without exceptions and run-time types.
func cppLibcLanguage() *Language {
	const install = libcInstall + " libc++-14-dev-wasm32 libc++abi-14-dev-wasm32"
	return &Language{
		Name:    "c++-libc",
		About:   "C++ with its standard library, without exceptions and run-time types",
		Aliases: []string{"cpp-libc", "cxx-libc"},
		Owns:    func(p *Project) bool { return len(cppSources(p)) > 0 && usesLibc(p) },
		Tools: append([]Tool{
			{Name: clangName, Programs: newest("clang"), Variable: "CC", Install: install},
			{Name: clangxxName, Programs: newest("clang++"), Variable: "CXX", Install: install},
			{Name: "libc++", Files: []string{"/usr/lib/wasm32-wasi/libc++.a"}, Install: install},
		}, libcTools(install)...),

		SDK:      sdkC(),
		Plan:     func(b *Build) ([]Stage, error) { return planLibc(b, clangxxName) },
		Finish:   finishLinked,
		Template: []Part{{".", templateOf("c++-libc")}},
	}
}

// planLibc builds with wasi-libc. Only the compiler knows where its libraries
// are, so that it calls the linker: without -O, with which it would have
// wasm-opt change the result where there is one.
func planLibc(b *Build, driver string) ([]Stage, error) {
	runtime := []string{"src/alloc.c", "src/runtime.c", "src/system_wasm.c", "libc/*.c"} // memory.c is libc's own
	compile, objects, err := compileC(b, driver, runtime, "--target=wasm32-wasi")
	if err != nil {
		return nil, err
	}
	const stack = 256 << 10
	link := []string{"--target=wasm32-wasi", "-nostartfiles", "-Wl," + strings.Join(stackFirst(stack), ",")}
	if b.Strip {
		link = append(link, "-Wl,--strip-debug")
	}
	link = append(link, b.Flags("LDFLAGS")...)
	return []Stage{compile, {{Tool: driver, Args: append(append(link, "-o", b.Out), objects...)}}}, nil
}

// freestanding are the headers that need no libc, besides those of the SDK.
func freestanding() []string {
	return []string{
		"pappus.h", "float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "wasm_simd128.h",
		"cfloat", "climits", "cstdarg", "cstddef", "cstdint",
	}
}

// maxHead is how much of a source is read for what it includes.
const maxHead = 1 << 20

// usesLibc reports whether sources include headers of a libc. What can't be read
// includes nothing: its compiler will say what is wrong.
func usesLibc(p *Project) bool {
	include := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*<([^>\n]+)>`)
	for _, name := range p.With(".c", ".h", ".cpp", ".cc", ".cxx", ".hpp", ".hh") {
		f, err := os.Open(filepath.Join(p.Dir, filepath.FromSlash(name)))
		if err != nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(f, maxHead))
		_ = f.Close() // it was only read
		if err != nil || !bytes.Contains(text, []byte("include")) {
			continue
		}
		for _, match := range include.FindAllSubmatch(text, -1) {
			header := string(match[1])
			if !strings.HasPrefix(header, "dandelion/") && !slices.Contains(freestanding(), header) {
				return true
			}
		}
	}
	return false
}
