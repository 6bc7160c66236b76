package toolchain

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	c "pappus/sdk/c"
)

const (
	crossName   = "aarch64-linux-gnu-gcc"
	lldName     = "ld.lld"
	nativeHint  = "apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu"
	nativeStack = "0x100000" // where the program begins: below it is its stack
)

// cNative are the ways to build C for Morello. No compiler that knows capabilities
// is needed: a function is a static program of plain A64.
func cNative() []*Language {
	freestanding := []string{
		"-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-mno-outline-atomics",
		"-fno-omit-frame-pointer", // stack traces follow it
		"-fwrapv",
	}
	// What WebAssembly traps on, or gives another number for, is a breakpoint here: the
	// processor goes on with some number. With -fwrapv gcc looks only at divisions for
	// overflows; newer versions of clang look at sums all the same.
	const checks = "integer-divide-by-zero,float-cast-overflow"
	gcc := append([]string{"-fsanitize=" + checks + ",signed-integer-overflow", "-fsanitize-undefined-trap-on-error"}, freestanding...)
	const target = "--target=aarch64-none-elf"
	clang := append([]string{target, "-fsanitize=" + checks, "-fsanitize-trap=" + checks}, freestanding...)
	return []*Language{
		{
			Name:  "c",
			Tools: []Tool{{Name: crossName, Programs: []string{crossName}, Variable: "CC", Install: nativeHint}},
			SDK:   sdkC(),
			Plan: func(b *Build) ([]Stage, error) {
				return planNative(b, crossName, gcc, "-g1", []string{"-Wl,-Ttext-segment=" + nativeStack})
			},
			Finish: finishNative,
		},
		{
			Name: "c",
			Tools: []Tool{
				{Name: clangName, Programs: newest("clang"), Variable: "CC", Install: clangInstall},
				{Name: lldName, Programs: newest(lldName), Install: clangInstall},
			},
			SDK: sdkC(),
			Plan: func(b *Build) ([]Stage, error) {
				return planNative(b, clangName, clang, "-gline-tables-only", []string{target, "-fuse-ld=" + b.tools[lldName], "-Wl,--image-base=" + nativeStack})
			},
			Finish: finishNative,
		},
	}
}

// CompilerError says that CC names a program that builds nothing for Morello.
type CompilerError struct {
	Program string
	Target  string // what it builds for; "": it doesn't say
}

func (e *CompilerError) Error() string {
	if e.Target == "" {
		return fmt.Sprintf("CC is %s, which is no compiler that can be asked what it builds for", e.Program)
	}
	return fmt.Sprintf("CC is %s, which builds for %s, and functions for Morello need aarch64", e.Program, e.Target)
}

// wayOf is the way for the compiler that CC names: clang's for each clang, which builds
// for every machine, and else gcc's, if it is one for aarch64.
func wayOf(ctx context.Context, ways []*Language, cc string) (*Language, error) {
	kind := crossName
	if version, err := ask(ctx, cc, "--version"); err == nil && strings.Contains(version, "clang version") {
		kind = clangName
	} else if target, err := ask(ctx, cc, "-dumpmachine"); err != nil || !strings.HasPrefix(target, "aarch64-") {
		if err != nil {
			target = ""
		}
		return nil, cmp.Or(ctx.Err(), error(&CompilerError{cc, target}))
	}
	for _, way := range ways {
		if way.Tools[0].Name == kind {
			return way, nil
		}
	}
	return nil, &CompilerError{Program: cc}
}

// ask gives the first line of what a compiler says of itself.
func ask(ctx context.Context, program, option string) (string, error) {
	said := new(bounded)
	cmd := exec.CommandContext(ctx, program, option)
	cmd.Stdout = said
	endWithChildren(cmd)
	err := cmd.Run()
	line, _, _ := strings.Cut(said.text.String(), "\n")
	const longest = 100
	return strings.TrimSpace(line[:min(len(line), longest)]), err
}

// planNative compiles the project and the SDK's runtime and links them into a
// static program. Its symbols stay, since by two of them the platform finds the
// function's data.
func planNative(b *Build, cc string, compiling []string, lines string, linking []string) ([]Stage, error) {
	common := append([]string{"-I" + filepath.Join(b.SDK, "include"), "-ffile-prefix-map=" + b.SDK + "=sdk", "-ffile-prefix-map=" + b.Dir + "=."}, compiling...)
	if !b.Strip {
		common = append(common, lines)
	}
	var (
		compile Stage
		objects []string
	)
	runtime, err := fs.Glob(c.Files, "src/*.c")
	if err != nil {
		return nil, err
	}
	for _, source := range runtime {
		args := append(append([]string{}, common...), "-c", filepath.Join(b.SDK, filepath.FromSlash(source)), "-o")
		object := b.Cached(cc, args, ".o")
		compile = append(compile, Step{Tool: cc, Args: append(args, MakesHere), Makes: object})
		objects = append(objects, object)
	}
	for _, source := range cSources(b.Project) {
		object := b.Temp(strings.TrimSuffix(path.Base(source), ".c") + ".o")
		args := append(append(append([]string{"-Wall", "-Wextra"}, common...), b.Flags("CFLAGS")...), "-c", source, "-o", object)
		compile = append(compile, Step{Tool: cc, Args: args})
		objects = append(objects, object)
	}
	link := append(append([]string{}, linking...), "-nostdlib", "-static",
		"-Wl,-e,_start,--build-id=none,-z,max-page-size=0x1000")
	if b.Strip {
		link = append(link, "-Wl,--strip-debug")
	}
	link = append(link, b.Flags("LDFLAGS")...)
	return []Stage{compile, {{Tool: cc, Args: append(append(link, "-o", b.Out), objects...)}}}, nil
}
