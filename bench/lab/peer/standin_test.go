package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// standIns are programs of others that the tests' own program is when it is
// started as they are. They do what their peers rely on, and refuse what the real
// ones would.
func standIns() (run func() error, ok bool) {
	switch filepath.Base(os.Args[0]) {
	case "cargo":
		return cargoStandIn, true
	case "dandelion_server":
		return dandelionStandIn, true
	case "of-watchdog":
		return watchdogStandIn, true
	}
	return nil, false
}

// called makes a link to this program under another name.
func called(folder, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(folder, name)); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// watchdogStandIn has the subset of of-watchdog's settings that its peer uses, with
// their meaning: a process for each request in the mode "streaming", the request
// as its input and in its environment, its output as the answer, and lines about it
// on the standard error.
func watchdogStandIn() error {
	process := strings.Split(os.Getenv("fprocess"), " ")
	if process[0] == "" || os.Getenv("mode") != "streaming" || os.Getenv("suppress_lock") != "true" {
		return fmt.Errorf("it would not start a process for each request: fprocess=%q mode=%q", os.Getenv("fprocess"), os.Getenv("mode"))
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		cmd := exec.CommandContext(r.Context(), process[0], process[1:]...)
		cmd.Env = append(os.Environ(), "Http_Method="+r.Method, "Http_Path="+r.URL.Path)
		cmd.Stdin, cmd.Stdout = r.Body, w
		w.Header().Set("Content-Type", "application/octet-stream")
		err := cmd.Run() // its status was sent by then: what failed answers less
		fmt.Fprintf(os.Stderr, "%s %s - %v\n", r.Method, r.URL.Path, err)
	}
	return http.ListenAndServe(":"+os.Getenv("port"), http.HandlerFunc(serve))
}

// cargoStandIn builds what it is asked to in the current folder, if there is a
// Cargo.toml.
func cargoStandIn() error {
	if _, err := os.Stat("Cargo.toml"); err != nil {
		return errors.New("error: could not find `Cargo.toml`")
	}
	after := func(name string) string {
		i := slices.Index(os.Args, name)
		if i < 0 || i+1 == len(os.Args) {
			return ""
		}
		return os.Args[i+1]
	}
	if os.Args[1] != "build" || !slices.Contains(os.Args, "--release") || after("--features") == "" || after("--bin") == "" {
		return fmt.Errorf("error: unexpected arguments %q", os.Args[1:])
	}
	return called(filepath.Join("target", after("--target"), "release"), after("--bin"))
}

// dandelionStandIn speaks the protocol of the prototype's worker, with its names.
func dandelionStandIn() error {
	var mu sync.Mutex
	functions := map[string]bool{}
	answer := func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		switch r.URL.Path {
		case "/register/function":
			var f function
			if err := bson.Unmarshal(body, &f); err != nil {
				return err
			}
			// The worker takes these kinds of values only: an array of numbers, not binary.
			kind := bson.Raw(body).Lookup("binary").Type
			if f.Name == "" || f.ContextSize != contextSize || kind != bson.TypeArray || len(f.Binary) == 0 ||
				len(f.InputSets) != 1 || f.InputSets[0][0] != "InMats" || f.InputSets[0][1] != nil || !slices.Equal(f.OutputSets, []string{"OutMats"}) ||
				f.EngineType != "Process" && f.EngineType != "Kvm" {
				return fmt.Errorf("registration %+v, binary of type %v", f, kind)
			}
			mu.Lock()
			functions[f.Name] = true
			mu.Unlock()
			_, err := io.WriteString(w, "Function registered")
			return err
		case "/hot/matmul":
			var d document
			if err := bson.Unmarshal(body, &d); err != nil {
				return err
			}
			mu.Lock()
			known := functions[d.Name]
			mu.Unlock()
			if !known || len(d.Sets) != 1 || len(d.Sets[0].Items) != 1 {
				return fmt.Errorf("a call of %q with %d sets", d.Name, len(d.Sets))
			}
			product, err := multiply(d.Sets[0].Items[0].Data)
			if err != nil {
				return err
			}
			encoded := encode(document{Sets: []set{{"OutMats", []item{{Data: product}}}}})
			err = http.NewResponseController(w).Flush() // it sends no length
			_, err2 := w.Write(encoded)
			return errors.Join(err, err2)
		}
		_, err = io.WriteString(w, "Hello, World\n")
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := answer(w, r); err != nil {
			http.Error(w, "Failed to serve request: "+err.Error(), http.StatusBadRequest)
		}
	})
	if os.Getenv("TOTAL_CORES") == "" || os.Getenv("FOLDER_PATH") == "" || os.Getenv("Q_PORT") == "" {
		return errors.New("settings are missing")
	}
	return http.ListenAndServe(":"+os.Getenv("PORT"), handler)
}

// multiply is the program of the prototype's test data.
func multiply(in []byte) ([]byte, error) {
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(in[8*i:]) }
	if len(in) < 16 || len(in)%8 != 0 {
		return nil, fmt.Errorf("%d bytes are no matrix", len(in))
	}
	rows := int(number(0))
	if rows < 1 || (len(in)/8-1)%rows != 0 {
		return nil, fmt.Errorf("%d bytes are no matrix of %d rows", len(in), rows)
	}
	columns := (len(in)/8 - 1) / rows
	out := binary.LittleEndian.AppendUint64(nil, uint64(rows))
	for i := range rows {
		for j := range rows {
			var sum uint64
			for k := range columns {
				sum += number(1+i*columns+k) * number(1+j*columns+k)
			}
			out = binary.LittleEndian.AppendUint64(out, sum)
		}
	}
	return out, nil
}
