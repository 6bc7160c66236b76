// A function that does what the tests tell it to.
package main

import (
	"bytes"
	"errors"
	"os"
	"runtime"

	"pappus/sdk/go/pappus"
)

// made is filled before any call, so it is in the image.
var made = func() map[int]string {
	m := map[int]string{}
	for i := range 20_000 {
		m[i] = string(rune('a' + i%26))
	}
	return m
}()

func main() { pappus.Main(run) }

func run(in pappus.Inputs) (pappus.Outputs, error) {
	out := pappus.Outputs{}
	for _, item := range in["text"] {
		switch string(item.Data) {
		case "panic":
			panic("as told")
		case "fail":
			return nil, errors.New("told to fail")
		case "fail with 7":
			return nil, &pappus.Exit{Code: 7, Err: errors.New("told to fail")}
		case "exit":
			os.Exit(9)
		case "other set":
			out.Add("nothing", "a", nil)
			out.Add("more", "a", nil)
			return out, nil
		case "memory":
			var all [][]byte
			for {
				all = append(all, bytes.Repeat([]byte("x"), 1<<20))
			}
		case "garbage":
			for range 1000 {
				_ = bytes.Repeat([]byte("x"), 1<<20)
			}
		case "file":
			b, err := os.ReadFile("/text/" + item.Name)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile("/upper/written", append(b, made[1]...), 0o644); err != nil {
				return nil, err
			}
			os.Stdout.WriteString("read\n")
		}
		done := make(chan []byte)
		go func() { done <- bytes.ToUpper(item.Data) }()
		item.Data = <-done
		out["upper"] = append(out["upper"], item)
		runtime.GC() // what is given out stays
	}
	return out, nil
}
