// Command gofiles uses files below the folder that its first argument names, as
// programs do, and prints what it sees. It prints nothing that depends on where
// or when it runs.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

func main() {
	root := os.Args[1]
	in, out := filepath.Join(root, "input"), filepath.Join(root, "output")
	fmt.Println("arguments", os.Args[2:])
	fmt.Println("environment", os.Getenv("GREETING"))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("line", strings.ToUpper(lines.Text()))
	}
	walk(in)
	copyAll(in, out)
	errorsOf(in, out)
	seeking(out)
	compressing(out)
	concurrently()
	defer fmt.Fprintln(os.Stderr, "deferred")
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		var m map[string]int
		m["x"] = 1
	}()
	if len(os.Args) > 2 && os.Args[2] == "fail" {
		fmt.Fprintln(os.Stderr, "failing")
		os.Exit(3)
	}
}

func walk(dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			fmt.Println("directory", rel)
			return nil
		}
		b, err := os.ReadFile(path)
		fmt.Println("file", rel, len(b), err)
		return nil
	})
	fmt.Println("walked", err)
}

func copyAll(in, out string) {
	fmt.Println("copied", os.CopyFS(filepath.Join(out, "copy"), os.DirFS(in)))
	b, err := os.ReadFile(filepath.Join(out, "copy", "a.txt"))
	fmt.Printf("%q %v\n", b, err)
	fmt.Println(os.Rename(filepath.Join(out, "copy", "a.txt"), filepath.Join(out, "renamed")))
	entries, err := os.ReadDir(filepath.Join(out, "copy"))
	for _, e := range entries {
		fmt.Println("left", e.Name(), e.IsDir())
	}
	fmt.Println(err)
}

func reason(err error) error {
	for _, known := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, fs.ErrClosed} {
		if errors.Is(err, known) {
			return known
		}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func errorsOf(in, out string) {
	say := func(what string, err error) { fmt.Println(what, "-", strings.ToLower(fmt.Sprint(reason(err)))) } // systems differ in that
	_, err := os.Open(filepath.Join(in, "missing"))
	say("open a missing file", err)
	_, err = os.ReadFile(in)
	say("read a directory", err)
	_, err = os.Open(filepath.Join(in, "a.txt", "x"))
	say("open below a file", err)
	say("make a directory that exists", os.Mkdir(filepath.Join(in, "sub"), 0o777))
	say("make directories", os.MkdirAll(filepath.Join(out, "x", "y", "z"), 0o777))
	say("remove a directory that is not empty", os.Remove(filepath.Join(out, "x")))
	say("remove all", os.RemoveAll(filepath.Join(out, "x")))
	say("remove what is missing", os.Remove(filepath.Join(out, "x")))
	_, err = os.OpenFile(filepath.Join(out, "renamed"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	say("create what exists", err)
	_, err = os.Stat(filepath.Join(out, "none"))
	say("stat what is missing", err)
	info, err := os.Stat(filepath.Join(out, "renamed"))
	fmt.Println(info.Name(), info.Size(), info.IsDir(), info.Mode().IsRegular(), err)
	f, err := os.Open(filepath.Join(out, "renamed"))
	say("open", err)
	_, err = f.Write([]byte("x"))
	fmt.Println("write to what is open for reading fails:", err != nil)
	say("close", f.Close())
	say("close again", f.Close())
}

func seeking(out string) {
	path := filepath.Join(out, "seek")
	f, err := os.Create(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 1000 {
		fmt.Fprintf(f, "%04d\n", i)
	}
	at, err := f.Seek(-10, io.SeekEnd)
	fmt.Println(at, err)
	rest, err := io.ReadAll(f)
	fmt.Printf("%q %v\n", rest, err)
	b := make([]byte, 4)
	n, err := f.ReadAt(b, 500)
	fmt.Println(n, string(b), err)
	_, err = f.WriteAt([]byte("HOLE"), 6000)
	fmt.Println(err, f.Truncate(6002))
	info, err := f.Stat()
	fmt.Println(info.Size(), err, f.Sync(), f.Close())
	g, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	fmt.Println(err)
	fmt.Fprint(g, "appended")
	fmt.Println(g.Close())
	temp, err := os.CreateTemp(out, "temp*")
	fmt.Println(err, temp.Close(), os.Remove(temp.Name()))
}

func compressing(out string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range 10_000 {
		fmt.Fprintln(z, i)
	}
	fmt.Println(z.Close(), os.WriteFile(filepath.Join(out, "numbers.gz"), b.Bytes(), 0o666))
	text, err := json.Marshal(map[string]any{"b": []int{1, 2, 3}, "a": 1.5, "words": regexp.MustCompile(`\w+`).FindAllString("to be, or not", -1)})
	fmt.Println(string(text), err)
}

func concurrently() {
	var wait sync.WaitGroup
	results := make(chan int, 10)
	for i := range 100 {
		wait.Go(func() {
			time.Sleep(time.Duration(100-i) * time.Microsecond)
			results <- i * i
		})
	}
	go func() { wait.Wait(); close(results) }()
	var all []int
	for r := range results {
		all = append(all, r)
	}
	sort.Ints(all)
	fmt.Println(len(all), all[99])
	begin := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println(time.Since(begin) >= 20*time.Millisecond)
	select {
	case <-time.After(time.Millisecond):
		fmt.Println("timeout")
	}
	tree := grow(14)
	runtime.GC()
	fmt.Println(tree.count())
}

type node struct{ left, right *node }

func grow(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{grow(depth - 1), grow(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}
