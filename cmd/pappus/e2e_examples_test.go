package main_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	pappus "pappus/cmd/pappus"
)

// exampleFolder makes what the examples name: files, functions and contexts.
func exampleFolder(t *testing.T, server string) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("logcount.comp", read(t, "../../samples/logcount/logcount.comp"))
	for _, name := range []string{"wordcount", "sumoccurrence", "matmul", "sum"} {
		write(name+".wasm", sample(t, name))
	}
	for _, path := range []string{"wordcount.elf", "samples/wordcount/wordcount.elf"} {
		write(path, read(t, "../../samples/wordcount/wordcount.elf"))
	}
	write("build/out.wasm", sample(t, "wordcount"))
	write("new.wasm", sample(t, "wordcount"))
	write("samples/wordcount/wordcount.wasm", sample(t, "wordcount"))
	upper := read(t, "../../sdk/purify/testdata/upper.wasm")
	write("app.wasm", upper)
	write("lib.wasm", bytes.ReplaceAll(upper, []byte("_start"), []byte("handle")))
	write("novel.txt", []byte("to be or not to be"))
	write("a.txt", []byte("a b a"))
	write("logs/today.log", []byte("ERROR one"))
	write("m.bin", []byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0})
	write("count.comp", []byte("function wordcount(text) => (counts);\n\ncomposition CountWords(texts) => (counts) {\n    wordcount(text = each texts) => (counts = counts);\n}\n"))
	write("pappus.yaml", []byte("max-body: 1MiB\n"))
	write("ca.pem", certificateFile(t))
	for _, cases := range []string{"samples/wordcount/cases", "tests"} {
		write(cases+"/one/in/text/a", []byte("a b a"))
		write(cases+"/one/out/counts/counts", []byte("a 2\nb 1\n"))
	}
	env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PAPPUS_SERVER="+server, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	for _, line := range []string{
		"pappus push wordcount.wasm && pappus push wordcount.wasm --timeout 2s && pappus push wordcount.wasm --timeout 3s",
		"pappus push sumoccurrence.wasm matmul.wasm sum.wasm",
		"pappus compose push logcount.comp",
		"pappus new c hello",
		"pappus tag wordcount stable 1 && pappus tag wordcount canary 3 && pappus tag wordcount latest 1",
	} {
		if out, err := shell(t, dir, env, line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return dir, env
}

func shell(t *testing.T, dir string, env []string, line string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", line)
	cmd.Dir, cmd.Env = dir, env
	return cmd
}

// Every example of every verb's help works as it stands, one after the other.
// Servers are started on a free port and in a folder of their own instead.
func TestExamples(t *testing.T) {
	byVerb := map[string][]string{}
	var order []string
	for _, e := range pappus.HelpExamples() {
		if byVerb[e.Verb] == nil {
			order = append(order, e.Verb)
		}
		byVerb[e.Verb] = append(byVerb[e.Verb], e.Line)
	}
	for _, verb := range order {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			server := serve(t, t.TempDir())
			dir, env := exampleFolder(t, server.url)
			if words := strings.Fields(verb); len(words) > 2 && words[1] == "context" && words[2] != "add" {
				if out, err := shell(t, dir, env, "pappus context add staging "+server.url).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			for _, line := range byVerb[verb] {
				if strings.Contains(line, "pappus serve") {
					serveExample(t, dir, env, line)
					continue
				}
				if strings.Contains(line, " hello") && !hasCompiler() {
					t.Logf("%s: needs clang and wasm-ld", line)
					continue
				}
				if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); err != nil && strings.Contains(line, "--engine chericap") {
					t.Logf("%s: needs aarch64-linux-gnu-gcc", line)
					continue
				}
				if strings.Contains(line, "pappus dev") {
					devExample(t, dir, env, line)
					continue
				}
				if strings.Contains(line, "--context default") { // where no server of this test is
					line = strings.Replace(line, "pappus ls", "pappus context show", 1)
				}
				if out, err := shell(t, dir, env, line).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
			}
		})
	}
}

// hasCompiler reports whether functions in C can be built here.
func hasCompiler() bool {
	for _, tool := range []string{"clang", "wasm-ld"} {
		_, err := exec.LookPath(tool)
		if _, other := exec.LookPath(tool + "-14"); err != nil && other != nil {
			return false
		}
	}
	return true
}

// devExample ends what an example starts after the first round.
func devExample(t *testing.T, dir string, env []string, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " --listen")
	cmd := shell(t, dir, env, "exec "+line+" --listen 127.0.0.1:0 --json")
	var log output
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if first, err := bufio.NewReader(stdout).ReadString('\n'); !strings.Contains(first, `"ok":1`) {
		t.Errorf("%s: it says %q (%v)\n%s", line, first, err, log.String())
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, stdout) // until it ends
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, log.String())
	}
}

// serveExample starts a server as an example does, and ends it when it is
// ready.
func serveExample(t *testing.T, dir string, env []string, line string) {
	t.Helper()
	cmd := shell(t, dir, env, strings.Replace(line, "pappus serve", "exec pappus serve", 1)+" --listen 127.0.0.1:0 --data "+t.TempDir())
	if before, after, ok := strings.Cut(line, "pappus serve"); ok && before != "" { // variables go before exec
		cmd = shell(t, dir, env, "export "+before+"; exec pappus serve"+after+" --listen 127.0.0.1:0 --data "+t.TempDir())
	}
	var log output
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if !strings.HasPrefix(first, "listening on ") {
		t.Errorf("%s: it says %q (%v)\n%s", line, first, err, log.String())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, stdout) // until it ends
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, log.String())
	}
}
