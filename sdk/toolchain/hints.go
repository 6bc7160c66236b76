package toolchain

import "regexp"

var (
	startTwice = regexp.MustCompile("(duplicate symbol: |multiple definition of [`'\"])_start\\b")
	notThere   = regexp.MustCompile("(?:undefined symbol: |undefined reference to [`'\"])([A-Za-z_][A-Za-z0-9_]*)")
)

// Hint says what to do where a linker's words hardly do: of a function in C or C++ that
// is built in another way than its sources are for, or asks for what there is not. It is
// "" for all else.
func (e *ToolError) Hint() string {
	const begins = `begins a program with "int main(void)" in place of PAPPUS_FUNCTION`
	libc := e.Language == "c-libc" || e.Language == "c++-libc"
	if !libc && e.Language != "c" && e.Language != "c++" {
		return ""
	}
	if startTwice.MatchString(e.Output) {
		if libc {
			return "a header of a libc is included, and who takes a libc " + begins + " (see pappus new " + e.Language + " NAME); without a libc there is what pappus.h declares: leave the other header out"
		}
		return "_start is the SDK's own: name the function's beginning with PAPPUS_FUNCTION"
	}
	found := notThere.FindStringSubmatch(e.Output)
	switch {
	case found == nil:
		return ""
	case libc && (found[1] == "main" || found[1] == "__main_argc_argv" || found[1] == "__main_void"):
		return "who takes a libc " + begins
	case libc:
		return "nothing here has " + found[1] + ": add the source that defines it; of a system there are files, stdin and stdout, and no network, processes, threads and signals"
	}
	return "nothing here has " + found[1] + ": add the source that defines it; without a libc there is what pappus.h declares, and who includes a header of a libc, such as <stdlib.h>, " + begins + " (see pappus new " + e.Language + "-libc NAME)"
}
