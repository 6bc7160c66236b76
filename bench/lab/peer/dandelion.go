package peer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pappus/bench/lab/pappus"
)

// dandelion is the worker of the prototype of the paper, built by cargo in its
// source folder (github.com/eth-easl/dandelion). What is asked of it is what its
// own test asks (server/tests/server_tests.rs): its functions are the program of its
// test data that multiplies a matrix, registered under one name each. The request
// carries the matrix and the answer the product, so that what it is to be
// compared with is Pappus asked in the same way (matrix).
type dandelion struct{ Setup }

func (*dandelion) Name() string { return "dandelion" }
func (*dandelion) Gives() string {
	return "a new context of the paper's prototype; request and answer carry the matrices"
}

// backend is how the prototype isolates a function.
type backend struct {
	feature string // of its build
	engine  string // as functions name it
	program string // of its test data, without the processor
}

// contextSize is what the prototype's own test gives a function.
const contextSize = 0x802_0000

func (d *dandelion) Start(ctx context.Context, functions int) (_ *Running, err error) {
	b := backend{"mmu", "Process", "test_elf_mmu"}
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
		_ = f.Close() // that it can be opened is all that is asked
		b = backend{"kvm", "Kvm", "test_elf_kvm"}
	}
	source, err := filepath.Abs(d.Dandelion)
	if err != nil {
		return nil, err
	}
	cpu := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	code, err := os.ReadFile(filepath.Join(source, "machine_interface", "tests", "data", b.program+"_"+cpu+"_matmul"))
	if err != nil {
		return nil, skip("%v", err)
	}
	var more []string // settings
	if b.feature == "mmu" {
		target := cpu + "-unknown-linux-gnu"
		if err := cargo(ctx, source, "--bin", "mmu_worker", "--features", "mmu", "--target", target); err != nil {
			return nil, err
		}
		more = append(more, "PROCESS_WORKER_PATH="+filepath.Join(source, "target", target, "release", "mmu_worker"))
	}
	if err := cargo(ctx, source, "--bin", "dandelion_server", "--features", b.feature+",reqwest_io"); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(d.Scratch, "dandelion-")
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	queue, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(source, "target", "release", "dandelion_server"))
	cmd.Dir = folder // it looks for a file of settings where it is
	cmd.Env = append(append(os.Environ(), more...), "PORT="+port, "Q_PORT="+queue, "FOLDER_PATH="+filepath.Join(folder, "functions"),
		"TOTAL_CORES="+strconv.Itoa(max(runtime.NumCPU(), 2))) // one for its compute engine at least, one for all else
	s, err := listening(ctx, cmd, "127.0.0.1:"+port)
	if err != nil {
		return nil, skip("the prototype's worker does not start: %v", err)
	}
	for k := range functions {
		if err := register(ctx, s.addr, registration(pappus.Name(k), b.engine, code)); err != nil {
			return nil, skip("the prototype's worker does not register a function: %v", errors.Join(err, s.stop()))
		}
	}
	return &Running{
		// The path is one of a few that the worker knows; the query makes it the function's own.
		Addr: s.addr, Path: func(k int) string { return "/hot/matmul?" + pappus.Name(k) },
		PID: s.cmd.Process.Pid, Functions: functions, Stop: s.stop,
		Work: &Work{Body: func(k, rows int) []byte { return invocation(pappus.Name(k), matrix(rows)) }, Check: checkAnswer},
	}, nil
}

// cargo builds a program of a source folder in its release form. It is an
// ErrSkipped if it can't be built.
func cargo(ctx context.Context, source string, args ...string) error {
	program, err := exec.LookPath("cargo")
	if err != nil {
		return skip("there is no cargo: install Rust")
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"build", "--release"}, args...)...)
	cmd.Dir = source
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		const last = 300
		text := strings.Join(strings.Fields(string(out)), " ")
		return skip("%s: %v: …%s", strings.Join(cmd.Args, " "), err, text[max(len(text)-last, 0):])
	}
	return nil
}

// The documents of the prototype's protocol, which is BSON over HTTP.
type (
	document struct {
		Name string `bson:"name,omitempty"` // of the function; an answer has none
		Sets []set  `bson:"sets"`
	}
	set struct {
		Identifier string `bson:"identifier"`
		Items      []item `bson:"items"`
	}
	item struct {
		Identifier string `bson:"identifier"`
		Key        int64  `bson:"key"`
		Data       []byte `bson:"data"`
	}
	function struct {
		Name        string   `bson:"name"`
		ContextSize int64    `bson:"context_size"`
		EngineType  string   `bson:"engine_type"`
		Binary      []int32  `bson:"binary"`     // a number for each byte
		InputSets   []bson.A `bson:"input_sets"` // of a name and items that are always there, or null
		OutputSets  []string `bson:"output_sets"`
	}
)

func registration(name, engine string, code []byte) []byte {
	numbers := make([]int32, len(code))
	for i, b := range code {
		numbers[i] = int32(b)
	}
	return encode(function{name, contextSize, engine, numbers, []bson.A{{"InMats", nil}}, []string{"OutMats"}})
}

func invocation(name string, data []byte) []byte {
	return encode(document{name, []set{{"InMats", []item{{Data: data}}}}})
}

func encode(v any) []byte {
	b, err := bson.Marshal(v)
	if err != nil {
		panic(err) //nolint:forbidigo // the documents above are structures of texts, numbers and bytes, which always can be
	}
	return b
}

// checkAnswer tells whether an answer has the product of the matrix of so many
// rows.
func checkAnswer(rows int) func([]byte) error {
	want := product(rows)
	return func(answer []byte) error {
		v, err := bson.Raw(answer).LookupErr("sets", "0", "items", "0", "data")
		if err != nil {
			return fmt.Errorf("%w: %w: %.100q", errAnswer, err, answer)
		}
		if _, got, ok := v.BinaryOK(); !ok || !bytes.Equal(got, want) {
			return fmt.Errorf("%w: %d bytes, want the product of %d rows", errAnswer, len(got), rows)
		}
		return nil
	}
}

var errAnswer = errors.New("wrong answer")

func register(ctx context.Context, addr string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/register/function", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true // many connections would be left
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, cmp.Or(strings.TrimSpace(string(text)), "no reason"))
	}
	return err
}
