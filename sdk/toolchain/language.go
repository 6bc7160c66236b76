package toolchain

import (
	"io/fs"
	"slices"
	"strings"
)

// Language is a language that functions are written in: an entry of the table.
type Language struct {
	Name  string // as "pappus new" takes it
	About string // one line

	// Aliases are other names that people give it.
	Aliases []string

	// Owns reports whether a project is of this language.
	Owns func(*Project) bool

	// Tools are needed to build. A step calls them by their names.
	Tools []Tool

	// SDK is unpacked into the cache folder before anything is built; nil: there
	// is none. Plan finds it in Build.SDK.
	SDK fs.FS

	// Plan says what to run: stages one after the other, the steps of a stage at
	// the same time. The last one leaves the module in Build.Out.
	Plan func(*Build) ([]Stage, error)

	// Finish turns what the tools left into the function; nil: it is one.
	Finish func(module []byte, b *Build) ([]byte, error)

	// Native are ways to build the same sources for Morello, of which the first is
	// taken whose tools are there; nil: there is none.
	Native []*Language

	// Template is what a new project is made of.
	Template []Part
}

// Part is a part of the template of a project.
type Part struct {
	Dir   string // within the project; ".": the project itself
	Files fs.FS
}

// Tool is a program that a language needs, or a library.
type Tool struct {
	Name     string                 // as steps call it
	Programs []string               // names that it may have in PATH, the best first
	Files    []string               // in place of programs: patterns of which one must match a file
	Variable string                 // of the environment, that names it instead, like CC; "": none
	Install  string                 // what to do if it is missing
	Usable   func(path string) bool // nil: any program of those names is; else the first in PATH of which it holds
}

// Stage is a list of steps that don't depend on each other.
type Stage []Step

// Step runs a tool once.
type Step struct {
	Tool    string   // name of a Tool of the language, or of Program
	Program string   // a file that a step before it makes, to be run in place of a tool
	Args    []string // without the tool itself
	Env     []string // besides the environment of this process
	Makes   string   // a file in the cache that the step makes from nothing of the project: if it is there the step is left out; Args name it as MakesHere
}

// MakesHere stands for Step.Makes in Step.Args: a file that gets that name once
// it is complete.
const MakesHere = "\x00makes"

// Project is source code that is to become one function.
type Project struct {
	Dir   string   // absolute
	Name  string   // of the function
	File  string   // the only file to be built, relative to Dir; "": all of the folder
	Files []string // relative to Dir, sorted, with slashes
}

// With lists the files whose names end in one of the suffixes.
func (p *Project) With(suffixes ...string) (files []string) {
	for _, f := range p.Files {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(f, s) }) {
			files = append(files, f)
		}
	}
	return files
}

// Has reports whether there is a file of that path.
func (p *Project) Has(file string) bool { return slices.Contains(p.Files, file) }
