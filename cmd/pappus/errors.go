package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"pappus/client"
	"pappus/cmd/pappus/internal/settings"
	"pappus/engine"
	"pappus/server"
	"pappus/server/problem"
)

// Exit codes of the command line; docs/exit-codes.md says what they mean.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNotFound    = 4
	exitRejected    = 5
	exitFault       = 6
	exitRefused     = 7
	exitBusy        = 8
	exitFile        = 9
	exitDiffers     = 10
	exitInterrupted = 130 // as shells say it of SIGINT
)

// failure is an error as the user sees it.
type failure struct {
	Exit     int      `json:"exit"` // exit code of this command
	Message  string   `json:"error"`
	Kind     string   `json:"kind,omitempty"`      // code of the problem or fault, as in docs/errors.md
	ExitCode *int32   `json:"exit_code,omitempty"` // of the function
	Stderr   string   `json:"stderr,omitempty"`    // of the function
	Stack    []string `json:"stack,omitempty"`     // of the function
	Declared []string `json:"declared,omitempty"`
	Imports  []string `json:"imports,omitempty"`
	Usage    *usageOf `json:"usage,omitempty"`   // of the function until it failed
	Request  string   `json:"request,omitempty"` // the server's id of it
	Run      string   `json:"run,omitempty"`     // of a composition, if its record is kept
	Hint     string   `json:"hint"`

	Mistakes settings.Errors `json:"mistakes,omitempty"` // in the configuration
	Errors   []sourceMistake `json:"errors,omitempty"`   // in a composition
	Users    []client.User   `json:"users,omitempty"`    // of what was to be changed

	// Where in a composition the failure was.
	Application string `json:"application,omitempty"`
	Index       *int   `json:"index,omitempty"` // of its instance
	Item        string `json:"item,omitempty"`

	err error
}

// usageOf is the deterministic part of what a function used.
type usageOf struct {
	Fuel        int64 `json:"fuel"`
	MemoryPages int64 `json:"memory_pages"`
}

func (f *failure) Error() string { return f.Message }
func (f *failure) Unwrap() error { return f.err }

// fail gives an error an exit code and a hint.
func fail(exit int, err error, hint string) error {
	return &failure{Exit: exit, Message: err.Error(), Hint: hint, err: err}
}

// usage is a mistake in how the command was called.
func usage(hint, format string, args ...any) error {
	return fail(exitUsage, fmt.Errorf(format, args...), hint)
}

// failureOf finds out what an error means to the user.
func failureOf(err error) *failure {
	var (
		known    *failure
		refused  *client.Problem
		fault    *engine.Fault
		rejected *engine.RejectedError
		path     *fs.PathError
	)
	f := &failure{Exit: exitInternal, Message: err.Error(), err: err}
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		f.ofProblem(refused)
	case errors.As(err, &rejected):
		f.Exit, f.Message, f.Kind = exitRejected, rejected.Reason, string(problem.RejectedModule)
		f.Hint, f.Imports = rejected.Hint, rejected.Imports
		if rejected.Costly {
			f.Kind = string(problem.CompileTooCostly)
		}
		if f.Hint == "" {
			f.catalogueHint(problem.Code(f.Kind))
		}
	case errors.As(err, &fault):
		f.Exit, f.Kind = exitOfFault(fault.Kind, fault.Usage.Fuel), string(fault.Kind)
		f.Stderr, f.Stack = string(fault.Stderr), fault.Stack
		if f.Exit == exitFault {
			f.Usage = &usageOf{fault.Usage.Fuel, fault.Usage.MemoryPages}
		}
		if fault.Kind == engine.FaultExit {
			f.ExitCode = &fault.ExitCode
		}
		if f.Hint = fault.Hint; f.Hint == "" {
			f.catalogueHint(problem.Code(fault.Kind))
		}
	case errors.Is(err, client.ErrUnreachable):
		f.Exit, f.Hint = exitUnreachable, "start one with: pappus serve; or name another with --server"
	case errors.Is(err, server.ErrUnfinished):
		f.Hint = "nothing is left to do; give what runs longer with --shutdown"
	case errors.Is(err, context.Canceled):
		f.Exit, f.Message, f.Hint = exitInterrupted, "interrupted", "nothing is left to do; run the command again if its result is wanted"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.Exit, f.Hint = exitFile, "make room on the disk, or name a folder on another one"
	case errors.As(err, &path):
		f.Exit, f.Hint = exitFile, "check that the file exists and that you may use it"
	default:
		f.Hint = "this should not happen; please report it with the command that led to it"
	}
	return f
}

// exitOfFault is the exit code for a fault. Inputs that do not fit the signature
// are refused before any of the function runs.
func exitOfFault(kind engine.FaultKind, fuel int64) int {
	if kind == engine.FaultItemCount && fuel == 0 {
		return exitRefused
	}
	return exitFault
}

func (f *failure) ofProblem(p *client.Problem) {
	f.Kind, f.ExitCode, f.Stderr, f.Stack = p.Code(), p.ExitCode, p.Stderr, p.Stack
	f.Declared, f.Imports, f.Request, f.Hint = p.Declared, p.Imports, p.Instance, p.Hint
	f.Application, f.Index, f.Item, f.Users, f.Run = p.Application, p.Index, p.Item, p.Users, p.RunID
	if p.Usage != nil {
		f.Usage = &usageOf{p.Usage.Fuel, p.Usage.MemoryPages}
	}
	switch code := problem.Code(f.Kind); {
	case code == problem.RejectedModule, code == problem.CompileTooCostly, code == problem.UnknownCode, code == problem.InvalidComposition:
		f.Exit = exitRejected
	case p.Status == http.StatusNotFound:
		f.Exit = exitNotFound
	case p.Status == http.StatusTooManyRequests, p.Status == http.StatusServiceUnavailable, p.Status == http.StatusInsufficientStorage:
		f.Exit = exitBusy
	case code == problem.Code(engine.FaultItemCount):
		if f.Exit = exitRefused; f.Usage != nil {
			f.Exit = exitOfFault(engine.FaultItemCount, f.Usage.Fuel)
		}
		if f.Exit == exitRefused {
			f.Usage = nil
		}
	case p.Status == http.StatusUnprocessableEntity, p.Status == http.StatusGatewayTimeout, p.Status == http.StatusBadGateway:
		f.Exit = exitFault
	case p.Status < http.StatusInternalServerError:
		f.Exit = exitRefused
	}
	// A hint that is for this problem alone is better than both.
	usual, known := problem.Lookup(problem.Code(f.Kind))
	if hint := hintOf(problem.Code(f.Kind)); hint != "" && (!known || f.Hint == "" || f.Hint == usual.Hint) {
		f.Hint = hint
	}
	if f.Kind == "" && p.Status < http.StatusBadRequest {
		f.Exit = exitUnreachable // somebody else answers
	}
	if f.Kind == "" {
		f.Hint = "check that --server names a Pappus server"
	}
	if f.Hint == "" {
		f.Hint = "docs/errors.md says more about " + f.Kind
	}
	if p.RetryAfter > 0 {
		f.Hint = fmt.Sprintf("%s; the server says to try again in %v", strings.TrimSuffix(f.Hint, "."), p.RetryAfter)
	}
}

// hintOf says what to do in the words of the command line, for problems whose
// own hints speak of requests.
func hintOf(code problem.Code) string {
	switch code {
	case problem.UnknownFunction:
		return "see what there is with: pappus ls; register it with: pappus push FILE"
	case problem.UnknownComposition:
		return "see what there is with: pappus ls; register it with: pappus compose push FILE"
	case problem.InUse:
		return "move or remove what refers to it first; where compositions do, --force does it all the same"
	case problem.SignatureBreaks:
		return "use another tag, or do it all the same with --force, and push the compositions again"
	case problem.BrokenComposition:
		return "push it again with: pappus compose push FILE; or move the tags of what it applies back"
	case problem.UnknownVersion:
		return "see the versions with: pappus ls NAME"
	case problem.UnknownTag:
		return "see the tags with: pappus ls NAME; set one with: pappus tag NAME TAG VERSION"
	case problem.UnknownRun:
		return "see those that there are with: pappus runs; have one kept with: pappus invoke --timeline NAME"
	case problem.UnknownCode:
		return "give a compiled .wasm file"
	case problem.BadBody:
		return "give inputs with --in; --type says what --raw is"
	case problem.RequestTooLarge:
		return "send less, or have the operator raise --max-body or --max-code"
	}
	return ""
}

// styled is a hint as the command line writes it: it begins like the middle of a
// sentence and has no dot at its end, wherever it comes from.
func styled(hint string) string {
	hint = strings.TrimSuffix(hint, ".")
	if len(hint) > 1 && hint[0] >= 'A' && hint[0] <= 'Z' && hint[1] >= 'a' && hint[1] <= 'z' {
		return strings.ToLower(hint[:1]) + hint[1:]
	}
	return hint
}

// catalogueHint takes over what the catalogue says to do.
func (f *failure) catalogueHint(code problem.Code) {
	if e, ok := problem.Lookup(code); ok {
		f.Hint = e.Hint
	}
}

// print shows the failure: as JSON on one line, or as text whose last line is
// the hint. What functions and servers say is escaped by w.
func (f *failure) print(w *escaper, asJSON bool) {
	if asJSON {
		if line, err := json.Marshal(f); err == nil {
			_, _ = fmt.Fprintf(w, "%s\n", line) // nobody is left to tell
			return
		}
	}
	_ = paint(w, alarm, "pappus:")
	var b strings.Builder
	fmt.Fprintf(&b, " %s\n", oneLine(f.Message))
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s:\n", title)
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", oneLine(line))
		}
	}
	if len(f.Mistakes) > 1 {
		for _, m := range f.Mistakes {
			fmt.Fprintf(&b, "  %s\n", oneLine(m.Error()))
		}
	}
	for _, m := range f.Errors {
		b.WriteString(m.text)
	}
	if f.Application != "" {
		where := "in: " + oneLine(f.Application)
		if f.Index != nil {
			where += fmt.Sprintf(", instance %d", *f.Index)
		}
		if f.Item != "" {
			where += ", item " + oneLine(f.Item)
		}
		b.WriteString(where + "\n")
	}
	if slices.ContainsFunc(f.Imports, func(name string) bool { return !strings.Contains(f.Message, name) }) {
		list("imports", f.Imports) // which the message has not all
	}
	list("declared", f.Declared)
	list("stack", f.Stack)
	if f.Stderr != "" {
		indented := strings.ReplaceAll(strings.TrimSuffix(f.Stderr, "\n"), "\t", "    ") // as traces of languages are
		list("stderr", strings.Split(indented, "\n"))
	}
	if f.Usage != nil {
		fmt.Fprintf(&b, "used: fuel %d, memory %d pages\n", f.Usage.Fuel, f.Usage.MemoryPages)
	}
	if f.Request != "" && f.Exit == exitInternal {
		fmt.Fprintf(&b, "request: %s\n", oneLine(f.Request))
	}
	_, _ = io.WriteString(w, b.String())
	_ = paint(w, dim, "hint: "+oneLine(f.Hint))
	_, _ = io.WriteString(w, "\n") // nobody is left to tell if it fails
}

// oneLine keeps foreign text from looking like lines of ours.
func oneLine(s string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(s)
}
