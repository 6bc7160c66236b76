// Command golibrary is initialised once and called often: what package
// initialisation leaves is there in every call.
package main

import (
	"os"
	"strconv"
	"strings"
)

var (
	table = func() map[int]string {
		m := map[int]string{}
		for i := range 20_000 {
			m[i] = strconv.Itoa(i)
		}
		return m
	}()
	calls int
)

func init() { say("initialised", table[len(table)-1]) }

func say(words ...string) { _, _ = os.Stdout.WriteString(strings.Join(words, " ") + "\n") }

//go:wasmexport run
func run() int32 {
	calls++
	b, err := os.ReadFile("/input/text")
	if err != nil {
		println(err.Error())
		return 4
	}
	words := strings.Fields(string(b))
	say("call", strconv.Itoa(calls), table[len(words)])
	if err := os.WriteFile("/output/words", []byte(strings.Join(words, "\n")), 0o666); err != nil {
		return 5
	}
	return 0
}

func main() {}
