package toolchain

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	c "pappus/sdk/c"
)

const (
	clangName   = "clang"
	clangxxName = "clang++"
	linkName    = "wasm-ld"

	clangInstall = "apt-get install -y --no-install-recommends clang lld"
)

// newest are the versions of a tool of LLVM, as Debian names them, after the
// name that has none.
func newest(name string) []string {
	programs := []string{name}
	for _, version := range []string{"21", "20", "19", "18", "17", "16", "15", "14"} {
		programs = append(programs, name+"-"+version)
	}
	return programs
}

func sdkC() fs.FS { return c.Files }

// cSources are the files that are compiled as C.
func cSources(p *Project) []string { return p.With(".c") }

// cppSources are the files that are compiled as C++.
func cppSources(p *Project) []string { return p.With(".cpp", ".cc", ".cxx") }

// cLanguage is C on sdk/c, without a libc.
func cLanguage() *Language {
	return &Language{
		Name:  "c",
		About: "C on sdk/c, without a libc: the smallest functions, and the fastest to start",
		Owns:  func(p *Project) bool { return len(cSources(p)) > 0 && len(cppSources(p)) == 0 && !usesLibc(p) },
		Tools: []Tool{
			{Name: clangName, Programs: newest("clang"), Variable: "CC", Install: clangInstall},
			{Name: linkName, Programs: newest("wasm-ld"), Install: clangInstall},
		},
		SDK:      sdkC(),
		Plan:     func(b *Build) ([]Stage, error) { return planC(b, clangName) },
		Finish:   finishLinked,
		Native:   cNative(),
		Template: []Part{{".", templateOf("c")}},
	}
}

// cppLanguage is C++ on sdk/c, without exceptions and standard library.
func cppLanguage() *Language {
	return &Language{
		Name:    "c++",
		About:   "C++ on sdk/c, without exceptions, run-time types and the standard library",
		Aliases: []string{"cpp", "cxx", "cc"},
		Owns:    func(p *Project) bool { return len(cppSources(p)) > 0 && !usesLibc(p) },
		Tools: []Tool{
			{Name: clangName, Programs: newest("clang"), Variable: "CC", Install: clangInstall},
			{Name: clangxxName, Programs: newest("clang++"), Variable: "CXX", Install: clangInstall},
			{Name: linkName, Programs: newest("wasm-ld"), Install: clangInstall},
		},
		SDK:      sdkC(),
		Plan:     func(b *Build) ([]Stage, error) { return planC(b, clangxxName) },
		Finish:   finishLinked,
		Template: []Part{{".", templateOf("c++")}},
	}
}

// planC builds without a libc.
func planC(b *Build, cpp string) ([]Stage, error) {
	compile, objects, err := compileC(b, cpp, []string{"src/*.c"}, "--target=wasm32")
	if err != nil {
		return nil, err
	}
	link := append(stackFirst(32<<10), b.Flags("LDFLAGS")...)
	if b.Strip {
		link = append(link, "--strip-debug")
	}
	return []Stage{compile, {{Tool: linkName, Args: append(append(link, "-o", b.Out), objects...)}}}, nil
}

// stackFirst has the linker put a stack at the start of memory. A small one: a
// call dirties few pages, and a stack that overflows traps instead of running
// into data.
func stackFirst(bytes int) []string {
	return []string{"--stack-first", "-z", fmt.Sprintf("stack-size=%d", bytes)}
}

// compileC compiles those files of the SDK, once for every compiler, and the
// project. The options are those of sdk/c/README.md.
func compileC(b *Build, cpp string, runtime []string, target string) (compile Stage, objects []string, err error) {
	common := []string{target, "-O2", "-I" + filepath.Join(b.SDK, "include"), "-ffile-prefix-map=" + b.SDK + "=sdk"}
	if !b.Strip {
		common = append(common, "-gline-tables-only")
	}
	for _, pattern := range runtime {
		sources, err := fs.Glob(c.Files, pattern)
		if err != nil {
			return nil, nil, err
		}
		for _, source := range sources {
			args := append([]string{"-fdebug-compilation-dir=sdk"}, common...)
			args = append(args, "-I"+filepath.Join(b.SDK, "libc"), "-c", filepath.Join(b.SDK, filepath.FromSlash(source)), "-o")
			object := b.Cached(clangName, args, ".o")
			compile = append(compile, Step{Tool: clangName, Args: append(args, MakesHere), Makes: object})
			objects = append(objects, object)
		}
	}
	project := append([]string{"-Wall", "-Wextra", "-ffile-prefix-map=" + b.Project.Dir + "=.", "-fdebug-compilation-dir=."}, common...)
	for _, of := range []struct {
		tool, variable string
		files, flags   []string
	}{
		{clangName, "CFLAGS", cSources(b.Project), nil},
		{cpp, "CXXFLAGS", cppSources(b.Project), []string{"-fno-exceptions", "-fno-rtti"}},
	} {
		for _, source := range of.files {
			object := b.Temp(strings.TrimSuffix(path.Base(source), path.Ext(source)) + ".o")
			args := append(append(append([]string{}, project...), of.flags...), b.Flags(of.variable)...)
			compile = append(compile, Step{Tool: of.tool, Args: append(args, "-c", source, "-o", object)})
			objects = append(objects, object)
		}
	}
	return compile, objects, nil
}
