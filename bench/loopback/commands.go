package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// uploadSize is the size of the module that is uploaded, in bytes: a little less
// than the largest that a server takes by default.
const uploadSize = 60 << 20

// commands measures the command line: from its start to the first byte of an
// answer, against curl that asks the same, and its uploads, against a file of the
// same bytes that is written and synced.
func commands(ctx context.Context, s settings) (err error) {
	p, err := s.serve(ctx, "commands")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := p.upload(ctx, "matmul", s.matmul, matmulQuery); err != nil {
		return err
	}
	input := filepath.Join(s.scratch, "input")
	if err := os.WriteFile(input, matrix(3), 0o600); err != nil {
		return err
	}
	const calls = 60
	server := "http://" + p.Addr
	for _, c := range []struct {
		what           string
		ours, curlArgs []string
	}{
		{"invoke", []string{"invoke", "matmul", "--raw", input, "--server", server}, []string{"-s", "--data-binary", "@" + input, server + "/v1/invoke/matmul"}},
		{"ls", []string{"ls", "--server", server}, []string{"-s", server + "/v1/functions"}},
	} {
		var ours, curls []time.Duration
		for range calls { // in turns, so that both have the same machine
			d, err := firstByte(ctx, s.pappus, c.ours...)
			if err != nil {
				return err
			}
			ours = append(ours, d)
			if d, err = firstByte(ctx, "curl", c.curlArgs...); err != nil {
				return err
			}
			curls = append(curls, d)
		}
		slices.Sort(ours)
		slices.Sort(curls)
		fmt.Printf("pappus %-6s to the first byte: p50 %.1f ms, p90 %.1f; curl p50 %.1f ms, p90 %.1f; ratio of p50 %.2f\n", c.what,
			ms(ours[calls/2]), ms(ours[calls*9/10]), ms(curls[calls/2]), ms(curls[calls*9/10]), float64(ours[calls/2])/float64(curls[calls/2]))
	}
	return uploads(ctx, s, server)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// firstByte is the time from a command's start to the first byte that it prints.
func firstByte(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var first [1]byte
	_, err = io.ReadFull(stdout, first[:])
	took := time.Since(began)
	_, drain := io.Copy(io.Discard, stdout)
	if err := errors.Join(err, drain, cmd.Wait()); err != nil {
		return 0, fmt.Errorf("%s %v: %w\n%s", name, args, err, stderr.Bytes())
	}
	return took, nil
}

// uploads compares pushing a large module, which is on disk when that ends, with
// writing it.
func uploads(ctx context.Context, s settings, server string) error {
	code, err := os.ReadFile(s.matmul)
	if err != nil {
		return err
	}
	var pushes, writes []time.Duration
	const turns = 7
	for i := range turns {
		file := filepath.Join(s.scratch, fmt.Sprintf("module-%d.wasm", i))
		module := padded(code, uploadSize)
		if err := os.WriteFile(file, module, 0o600); err != nil {
			return err
		}
		began := time.Now()
		if out, err := exec.CommandContext(ctx, s.pappus, "push", file, "--name", "padded", "--server", server).CombinedOutput(); err != nil {
			return fmt.Errorf("push: %w\n%s", err, out)
		}
		pushes = append(pushes, time.Since(began))
		took, err := writeSynced(filepath.Join(s.scratch, "written"), module)
		if err != nil {
			return err
		}
		writes = append(writes, took)
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	slices.Sort(pushes)
	slices.Sort(writes)
	mb := float64(uploadSize) / 1e6
	push, write := pushes[turns/2], writes[turns/2]
	fmt.Printf("pappus push of %d MiB: p50 %.0f ms, %.0f MB/s; a file of it, synced: %.0f ms, %.0f MB/s; ratio %.2f\n",
		uploadSize>>20, ms(push), mb/push.Seconds(), ms(write), mb/write.Seconds(), float64(push)/float64(write))
	return nil
}

// padded is a module with a custom section of random bytes that brings it to a
// size.
func padded(code []byte, size int) []byte {
	pad := size - len(code) - 16
	out := bytes.Clone(code)
	out = append(out, 0)
	out = binary.AppendUvarint(out, uint64(pad+4))
	out = append(out, 3, 'p', 'a', 'd')
	random := rand.NewChaCha8([32]byte{byte(time.Now().UnixNano())})
	from := len(out)
	out = append(out, make([]byte, pad)...)
	_, _ = random.Read(out[from:]) // it never fails
	return out
}

// writeSynced writes a file as safely as the server does, and says how long it
// took.
func writeSynced(name string, content []byte) (took time.Duration, err error) {
	began := time.Now()
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	return time.Since(began), errors.Join(err, os.Remove(name))
}
