package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// rememberedRows makes matrices of about 1 KiB.
const rememberedRows = 11

// identity is the matrix that is its own product with its transpose, so that the
// answer is as long as the request.
func identity(rows int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(rows))
	for i := range rows * rows {
		one := uint64(0)
		if i%(rows+1) == 0 {
			one = 1
		}
		b = binary.LittleEndian.AppendUint64(b, one)
	}
	return b
}

// remembered compares answers that are remembered with those of a bare handler.
func remembered(ctx context.Context, s settings) (err error) {
	bare, pappus, stop, err := s.sides(ctx, "remembered", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	const path = "/v1/invoke/matmul"
	item := identity(rememberedRows)
	for _, want := range []string{"miss", "hit"} {
		if err := pappus.cached(ctx, path, item, want); err != nil {
			return err
		}
	}
	fmt.Printf("\na remembered result, %d bytes in and out, calls/s, median of %d turns of %v (each turn in brackets)\n", len(item), s.rounds, s.turn)
	toBare := load{addr: bare.Addr, path: path, body: item, want: item}
	toPappus := load{addr: pappus.Addr, path: path, body: item, want: item}
	for _, connections := range []int{16, 128} {
		toBare.connections, toPappus.connections = connections, connections
		if _, err := compare(ctx, s, toBare, toPappus); err != nil {
			return err
		}
	}
	return pappus.cached(ctx, path, item, "hit")
}

// cached calls a function, whose answer must come from where it should.
func (s *server) cached(ctx context.Context, path string, body []byte, want string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if from := answer.Header.Get("Cache-Status"); answer.StatusCode != http.StatusOK || !strings.Contains(from, want) {
		return fmt.Errorf("%s: %s, Cache-Status %q, which should be a %s", path, answer.Status, from, want)
	}
	return nil
}
