package pappus

import (
	"runtime"
	"unsafe"
)

// What the platform gives a function, as purify puts it into the module.

//go:wasmimport dandelion input_set_count
func inputSetCount() uint32

//go:wasmimport dandelion input_set_ident
func inputSetIdent(set uint32) unsafe.Pointer

//go:wasmimport dandelion input_set_ident_len
func inputSetIdentLen(set uint32) uint32

//go:wasmimport dandelion input_buffer_count
func inputBufferCount(set uint32) uint32

//go:wasmimport dandelion get_input
func getInput(set, item uint32) unsafe.Pointer

//go:wasmimport dandelion output_set_count
func outputSetCount() uint32

//go:wasmimport dandelion output_set_ident
func outputSetIdent(set uint32) unsafe.Pointer

//go:wasmimport dandelion output_set_ident_len
func outputSetIdentLen(set uint32) uint32

//go:wasmimport dandelion add_output
func addOutput(set uint32, ident unsafe.Pointer, identLen uint32, data unsafe.Pointer, dataLen uint32, key uint32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_write
func fdWrite(fd uint32, parts unsafe.Pointer, count uint32, written unsafe.Pointer) uint32

// buffer is an item as get_input points to it: addresses have 32 bits.
type buffer struct {
	ident, identLen uint32
	data, dataLen   uint32
	key             uint32
}

// outOfMemory is the exit code of a function that is out of memory.
const outOfMemory = 259

// exitCode is that of the call, which begins in run and ends there.
var exitCode int32

// mainMain is the program's main. A library's is linked, but nobody calls it.
//
//go:linkname mainMain main.main
func mainMain()

// run is what a call runs. The program is initialised by then.
//
//go:wasmexport run
func run() int32 {
	exitCode = 0
	mainMain()
	return exitCode
}

func start(f Function) {
	out, err := f(inputs())
	if err != nil {
		say(err.Error())
		exitCode = int32(codeOf(err))
		return
	}
	exitCode = put(out)
	runtime.KeepAlive(out)
}

// said is what fd_write is given: nothing of it is on a stack, which may move.
var said struct {
	line          []byte
	address, size uint32
	written       uint32
}

// say writes a line to stderr. What println writes to depends on the compiler, and
// package os is large.
func say(line string) {
	said.line = append([]byte(line), '\n')
	said.address, said.size = uint32(uintptr(unsafe.Pointer(&said.line[0]))), uint32(len(said.line))
	fdWrite(2, unsafe.Pointer(&said.address), 1, unsafe.Pointer(&said.written)) // nobody is there to be told that it failed
}

func inputs() Inputs {
	n := inputSetCount()
	in := make(Inputs, n)
	for set := range n {
		items := make([]Item, inputBufferCount(set))
		if len(items) > 0 {
			// The items of a set lie side by side.
			buffers := unsafe.Slice((*buffer)(getInput(set, 0)), len(items))
			for i := range items {
				b := &buffers[i]
				items[i] = Item{
					Name: unsafe.String((*byte)(at(b.ident)), b.identLen),
					Key:  b.key,
					Data: unsafe.Slice((*byte)(at(b.data)), b.dataLen),
				}
			}
		}
		in[unsafe.String((*byte)(inputSetIdent(set)), inputSetIdentLen(set))] = items
	}
	return in
}

// at is the pointer to an address.
func at(address uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), address) }

// put hands the outputs over and tells the exit code.
func put(out Outputs) int32 {
	left := len(out)
	for set := range outputSetCount() {
		items, ok := out[unsafe.String((*byte)(outputSetIdent(set)), outputSetIdentLen(set))]
		if ok {
			left--
		}
		for i := range items {
			it := &items[i]
			// It is not copied; out lives until the function ends.
			failed := addOutput(set, unsafe.Pointer(unsafe.StringData(it.Name)), uint32(len(it.Name)),
				unsafe.Pointer(unsafe.SliceData(it.Data)), uint32(len(it.Data)), it.Key)
			if failed != 0 {
				return outOfMemory
			}
		}
	}
	if left > 0 {
		say("the function has no output set " + unknown(out) + ": its manifest says which it has")
		return 1
	}
	return 0
}

// unknown is the first name of a set that the function does not have.
func unknown(out Outputs) (name string) {
	for set := range out {
		known := false
		for i := range outputSetCount() {
			known = known || unsafe.String((*byte)(outputSetIdent(i)), outputSetIdentLen(i)) == set
		}
		if !known && (name == "" || set < name) {
			name = set
		}
	}
	return name
}
