package chericapengine

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"pappus/chericapengine/loader"
	"pappus/engine/lines"
)

// source names a program's calls and finds their lines. What that takes is made at the
// first fault, and not for programs that don't fail.
type source struct {
	debug      loader.Debug
	start, end uint64 // of the code

	made      *lines.Once
	functions *loader.Functions
	lines     *loader.Lines
}

// size is what it holds at most, in bytes.
func (s *source) size() int64 { return s.debug.Cost() }

func (s *source) make() {
	s.functions = s.debug.Functions(s.start, s.end)
	s.lines = s.debug.Lines(s.start, s.end)
}

// registers are those of a thread by which its calls are found.
type registers struct {
	pc, link, frame uint64
}

// maxCalls is how many calls a stack shows, as many as that of a module.
const maxCalls = 30

// calls walks through the calls of a thread that has stopped, innermost first. Whatever
// is in its memory, it ends. The error is ctx's, if that ended while others were waited
// for: to name calls takes several times the memory that is kept.
func (s *source) calls(ctx context.Context, at registers, mem []byte) ([]string, error) {
	if err := s.made.Do(ctx, s.make); err != nil {
		return nil, err
	}
	calls := []string{s.show(at.pc, at.pc)}
	// A function that calls no other has no frame, and one that has just begun has none
	// yet: then the register says who called it. In all others it is an address of their
	// own, from their last call, or the one that is in their frame.
	back, next, ok := frameAt(mem, at.frame)
	if at.link != back && s.isCode(at.link) && s.of(at.link-instruction) != s.of(at.pc) {
		calls = append(calls, s.show(at.link, at.link-instruction))
	}
	for frame := at.frame; ok && s.isCode(back) && len(calls) < maxCalls; {
		calls = append(calls, s.show(back, back-instruction))
		if next <= frame {
			break // the caller's frame is above
		}
		frame = next
		back, next, ok = frameAt(mem, frame)
	}
	return calls, nil
}

// instruction is the size of one. Where a call returns to is behind it.
const instruction = 4

// frameAt reads a frame's record: where the function returns to, and its caller's frame.
func frameAt(mem []byte, at uint64) (back, next uint64, ok bool) {
	const record = 16
	if size := uint64(len(mem)); at == 0 || at%8 != 0 || size < record || at > size-record {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(mem[at+8:]), binary.LittleEndian.Uint64(mem[at:]), true
}

func (s *source) isCode(at uint64) bool { return at >= s.start+instruction && at <= s.end }

// of is where the function begins that an instruction is in; 0: none that is known.
func (s *source) of(at uint64) uint64 {
	_, begins, _ := s.functions.At(at)
	return begins
}

// show spells a call that is at an address, and whose instruction is at another or the
// same.
func (s *source) show(address, at uint64) string {
	name, begins, ok := s.functions.At(at)
	if !ok {
		return fmt.Sprintf("%#x", address)
	}
	text := shown(name)
	p, ok := s.lines.At(at)
	if !ok {
		return fmt.Sprintf("%s+%#x", text, address-begins)
	}
	text += " at " + shown(p.File) + ":" + strconv.Itoa(p.Line)
	if p.Column > 0 {
		text += ":" + strconv.Itoa(p.Column)
	}
	return text
}

// shown is a name that the function's file has given, bounded and printable.
func shown(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// recursive is a function that is in the innermost calls more than once.
func recursive(calls []string) string {
	seen := map[string]bool{}
	for _, call := range calls {
		name, _, _ := strings.Cut(call, " at ")
		name, _, _ = strings.Cut(name, "+")
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}
