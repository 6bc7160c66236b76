package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A document's console blocks are one session at a terminal: lines that begin
// with "$ " are commands, which go on over lines that end with \ and to the end
// of a here-document, and what follows a command is what it prints. In that, …
// stands for any text, and alone on a line for any lines; what differs from run
// to run (times, ids, dates) is not compared. Every command must end well unless
// it prints an error.
//
// A block of another kind after "Save this as `NAME`" is a file of the session.
//
// The session's folder has what of the repository documents name, and
// bin/pappus, built. A server is started where the document does it, on a port of its own in
// place of 8080. Commands of make are those of the Makefile, and not run here.
//
// Nothing is fetched: a Go module that a document begins has the repository's
// dependencies, and the generator is the one that the Makefile builds. Commands
// of npm and npx are not run.

// step is one command of a document, or a file to be saved.
type step struct {
	line    int
	command string
	want    []string

	file, content string
}

var (
	fence   = regexp.MustCompile("^ *```(\\S*)$")
	saved   = regexp.MustCompile("^Save this as `([a-z0-9.-]+)`")
	heredoc = regexp.MustCompile(`<<-?\s*'?(\w+)'?`)
)

// languages are what may stand in a block that is not run.
const languages = " c html js json ts yaml promql text go wat rust toml lua python "

// generated is the page that is written from the command line's help, whose
// examples that one's tests run.
const generated = "docs/commands.md"

// session reads the console blocks of a document.
func session(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	in, end, more, file := "", "", false, ""
	for i, line := range strings.Split(text, "\n") {
		if m := saved.FindStringSubmatch(line); m != nil && in == "" {
			file = m[1]
		}
		if m := fence.FindStringSubmatch(line); m != nil && end == "" {
			switch {
			case in != "":
				in, file = "", ""
			case m[1] == "":
				in = "text"
			default:
				in = m[1]
			}
			more = false
			if file != "" && in != "" && in != "console" {
				steps = append(steps, step{line: i + 1, file: file})
			}
			if in != "" && in != "console" && !strings.Contains(languages, " "+in+" ") {
				t.Errorf("line %d: a block of %q; commands stand in blocks of console", i+1, in)
			}
			continue
		}
		last := len(steps) - 1
		if in != "console" {
			if in != "" && file != "" {
				steps[last].content += line + "\n"
			}
			continue
		}
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case end != "":
			steps[last].command += "\n" + line
			if line == end {
				end = ""
			}
		case more:
			steps[last].command += "\n" + line
			more = strings.HasSuffix(line, `\`)
		case ok:
			steps = append(steps, step{line: i + 1, command: command})
			more = strings.HasSuffix(command, `\`)
			if m := heredoc.FindStringSubmatch(command); m != nil {
				end = m[1]
			}
		case last < 0:
			t.Errorf("line %d: output before any command", i+1)
		default:
			steps[last].want = append(steps[last].want, line)
		}
	}
	return steps
}

// What is not the same in every run.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "<time>"},
	{regexp.MustCompile(`^(Date|X-Request-Id): .*`), "$1: <…>"},
	{regexp.MustCompile(`\b[0-9a-f]{12}-[0-9a-z]+\b`), "<id>"},
	{regexp.MustCompile(`dur=[\d.]+`), "dur=<n>"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)\b`), "<duration>"},
	{regexp.MustCompile(`  +`), "  "}, // columns
}

func steady(line string) string {
	line = strings.TrimRight(line, " \r")
	for _, v := range varying {
		line = v.what.ReplaceAllString(line, v.as)
	}
	return line
}

// matches compares what a command printed with what the document shows.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) == "…" {
		for skip := range len(got) + 1 {
			if matches(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	if len(got) == 0 {
		return false
	}
	var pattern strings.Builder
	for i, part := range strings.Split(steady(want[0]), "…") {
		if i > 0 {
			pattern.WriteString(".*")
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	ok, err := regexp.MatchString("^"+pattern.String()+"$", steady(got[0]))
	return err == nil && ok && matches(want[1:], got[1:])
}

func lines(text string) []string {
	text = strings.Trim(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// terminal is where a document's commands are run.
type terminal struct {
	t    *testing.T
	dir  string
	at   string // where commands are run: dir, until the document goes elsewhere
	port string

	server *exec.Cmd
	log    *bytes.Buffer
}

// built is the folder with the program, built once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pappus-docs")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "pappus"), "../cmd/pappus").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	term := &terminal{t: t, dir: dir, at: dir, port: port, log: new(bytes.Buffer)}
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "docs", "samples", "sdk", "server", "wasmengine"} {
		if err := os.Symlink(filepath.Join(abs, name), filepath.Join(term.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(bin, filepath.Join(term.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	// On a terminal curl shows no meter for answers that it shows.
	if err := os.WriteFile(filepath.Join(term.dir, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(term.stop)
	return term
}

// here puts the session's port and folder in the place of the document's.
func (term *terminal) here(text string) string {
	return strings.NewReplacer(":8080", ":"+term.port, "/tmp/pappus", filepath.Join(term.dir, "kept")).Replace(text)
}

func (term *terminal) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -o pipefail; "+text)
	cmd.Dir = term.at
	cmd.Env = append(os.Environ(), "PAPPUS_LISTEN=127.0.0.1:"+term.port, "PAPPUS_SERVER=http://127.0.0.1:"+term.port, "HOME="+term.dir, "XDG_CONFIG_HOME="+term.dir+"/.config",
		"TZ=UTC", "LC_ALL=C.UTF-8", "PATH="+filepath.Join(term.dir, "bin")+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, goEnvironment()...)
	return cmd
}

var serving = regexp.MustCompile(`^(\w+=\S+ )*(bin/)?pappus serve\b`)

// run runs one step and compares what it prints.
func (term *terminal) run(s step) {
	term.t.Helper()
	command := term.here(s.command)
	want := make([]string, len(s.want))
	for i, line := range s.want {
		want[i] = term.here(line)
	}
	for len(want) > 0 && strings.TrimSpace(want[len(want)-1]) == "" {
		want = want[:len(want)-1]
	}
	fails := slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "pappus: ") })
	if serving.MatchString(command) && !fails {
		term.serve(s.line, command, want)
		return
	}
	ctx, cancel := context.WithTimeout(term.t.Context(), 2*time.Minute)
	defer cancel()
	out, err := term.command(ctx, command).CombinedOutput()
	if (err != nil) != fails {
		term.t.Errorf("line %d: %s\nends with %v\n%s", s.line, s.command, err, out)
		return
	}
	if got := slices.DeleteFunc(lines(string(out)), waiting.MatchString); len(want) > 0 && !matches(want, got) {
		term.t.Errorf("line %d: %s\nprints\n%s\nthe document has\n%s", s.line, s.command, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// serve starts a server, in place of the one before it, and waits until it
// listens.
func (term *terminal) serve(line int, command string, want []string) {
	term.t.Helper()
	term.stop()
	term.log.Reset()
	cmd := term.command(context.WithoutCancel(term.t.Context()), "exec "+command)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		term.t.Fatal(err)
	}
	cmd.Stderr = term.log
	if err := cmd.Start(); err != nil {
		term.t.Fatal(err)
	}
	term.server = cmd
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || len(want) > 0 && !matches(want[:1], lines(first)) {
		term.stop()
		term.t.Fatalf("line %d: %s\nsays %q (%v)\n%s", line, command, first, err, term.log)
	}
}

func (term *terminal) stop() {
	if term.server == nil {
		return
	}
	if err := term.server.Process.Signal(syscall.SIGTERM); err != nil {
		term.t.Error(err)
	}
	if err := term.server.Wait(); err != nil {
		term.t.Errorf("the server ended with %v\n%s", err, term.log)
	}
	term.server = nil
}

// offline puts what is there already in the place of what a command would
// fetch. It reports false if the rest of the document can't be run.
func (term *terminal) offline(s *step) bool {
	t := term.t
	t.Helper()
	switch words := strings.Fields(s.command); {
	case words[0] == "cd" && len(words) == 2:
		term.at = filepath.Join(term.at, term.here(words[1]))
		if filepath.IsAbs(term.here(words[1])) {
			term.at = term.here(words[1])
		}
		s.command = ":"
	case words[0] == "rustc": // Debian's has the standard library for wasm32
		s.command = "/usr/bin/" + s.command
	case words[0] == "npm" || words[0] == "npx":
		s.command, s.want = ":", nil
	case strings.HasPrefix(s.command, "go mod init "):
		module := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(read(t, "go.mod"), "module "+words[3])
		for name, content := range map[string]string{"go.mod": module, "go.sum": read(t, "go.sum")} {
			if err := os.WriteFile(filepath.Join(term.at, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.command, s.want = ":", nil
	case s.command == "go mod tidy":
		s.command, s.want = ":", nil
	case strings.HasPrefix(s.command, "go run "+generator+"/cmd/oapi-codegen@"):
		tool, version, _ := strings.Cut(words[2], "@")
		if !strings.Contains(read(t, "tools/openapi/go.mod"), "\t"+generator+" "+version+" ") {
			t.Errorf("line %d: %s is not the version that tools/openapi has", s.line, version)
		}
		built, err := filepath.Abs(filepath.Join(root, "bin", path.Base(tool)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(built); err != nil {
			return false
		}
		s.command = built + " " + strings.Join(words[3:], " ")
	}
	return true
}

const generator = "github.com/oapi-codegen/oapi-codegen/v2"

// goEnvironment has go find what it has, though a session's home is a folder
// of its own.
var goEnvironment = sync.OnceValue(func() []string {
	env := []string{"GOPROXY=off", "GOFLAGS=-mod=mod"}
	for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
		if out, err := exec.Command("go", "env", name).Output(); err == nil {
			env = append(env, name+"="+strings.TrimSpace(string(out)))
		}
	}
	return env
})

// waiting is a line that says that something takes long, as it may here.
var waiting = regexp.MustCompile(`^[^{]*… \d+s$`)

var makeTarget = regexp.MustCompile(`^(\w+=\S+ )*make ([a-z0-9-]+)`)

// Commands in the documents do what the documents say.
func TestCommands(t *testing.T) {
	makefile := read(t, "Makefile")
	documents, commands := 0, 0
	eachFile(t, ".md", func(file, text string) {
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.ToSlash(name) == generated {
			return
		}
		t.Run(name, func(t *testing.T) {
			steps := session(t, text)
			if len(steps) == 0 {
				return
			}
			documents++
			term := newTerminal(t)
			for _, s := range steps {
				if s.file != "" {
					if err := os.WriteFile(filepath.Join(term.at, s.file), []byte(term.here(s.content)), 0o600); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if m := makeTarget.FindStringSubmatch(s.command); m != nil {
					if !strings.Contains(makefile, "\n"+m[2]+":") {
						t.Errorf("line %d: there is no target %s", s.line, m[2])
					}
					continue
				}
				if tool := strings.Fields(s.command)[0]; tool == "clang" || strings.Contains(s.command, "pappus build") {
					if _, err := exec.LookPath("clang"); err != nil {
						t.Skip("the rest needs clang")
					}
				}
				if strings.Contains(s.command, "--engine chericap") {
					if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); err != nil {
						t.Skip("the rest needs aarch64-linux-gnu-gcc")
					}
				}
				if _, err := os.Stat("/usr/lib/rustlib/wasm32-wasi"); err != nil && strings.HasPrefix(s.command, "rustc ") {
					t.Skip("the rest needs rustc and libstd-rust-dev-wasm32 of Debian")
				}
				if !term.offline(&s) {
					t.Skip("the rest needs bin/oapi-codegen: make generate")
				}
				commands++
				if term.run(s); t.Failed() {
					return
				}
			}
		})
	})
	t.Logf("%d commands of %d documents", commands, documents)
	const least = 15
	if commands < least {
		t.Errorf("only %d commands were run: has the documents' form changed?", commands)
	}
}
