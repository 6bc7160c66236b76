package samples_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"pappus/samples"
)

var update = flag.Bool("update", false, "write the case folders instead of checking them")

// tree is files by their path below a case folder: "in/SET/ITEM", "out/SET/ITEM", "case.json".
type tree map[string][]byte

// fails is a case whose function ends with exit code 1.
func fails(t tree) tree {
	t["case.json"] = []byte(`{"exit_code": 1}` + "\n")
	return t
}

// oneMatrix is a case of matmul with one input item.
func oneMatrix(item []byte) tree {
	return tree{"in/matrices/m": item, "out/products/m": timesTranspose(item)}
}

// macs is a case of matmac.
func macs(a, b, c []byte) tree {
	return tree{"in/a/m": a, "in/b/m": b, "in/c/m": c, "out/sum/m": timesPlus(a, b, c)}
}

// diamond is a case of the composition.
func diamond(item []byte) tree {
	top := timesTranspose(item)
	side := timesTranspose(top)
	return tree{"in/matrix/m": item, "out/sum/m": timesPlus(side, side, top)}
}

func badMatrix(item []byte) tree { return fails(tree{"in/matrices/m": item}) }

func size(text string, n int) tree {
	return tree{"in/size/size": []byte(text), "out/checksum/checksum": checksum(n)}
}

func badSize(text string) tree { return fails(tree{"in/size/size": []byte(text)}) }

func text(items ...string) tree {
	t, all := tree{}, [][]byte{}
	for i, item := range items {
		t["in/text/"+string(rune('a'+i))] = []byte(item)
		all = append(all, []byte(item))
	}
	t["out/counts/counts"] = wordCounts(all...)
	return t
}

// occurs is a case of sumoccurrence; pattern is what the file says, want what
// is looked for.
func occurs(pattern, want string, logs tree) tree {
	t := tree{"in/pattern/pattern": []byte(pattern)}
	for name, log := range logs {
		t["in/logs/"+name] = log
	}
	t["out/counts/counts"] = occurrences(want, slices.Collect(maps.Values(logs))...)
	return t
}

// folders are all case folders by "SAMPLE/cases/NAME".
func folders(t *testing.T) map[string]tree {
	logs := tree{"web-01.log": logFile(1, "web-01", 700), "web-02.log": logFile(2, "web-02", 900), "db-01/today.log": logFile(3, "db-01", 500)}
	many := tree{}
	keys := map[string]map[string]int{"in": {}, "out": {}}
	for n := int64(1); n <= 11; n++ {
		// Every remainder of the blocks that the products are made in; keys
		// turn the order of the items round.
		name := string(rune('a' + n - 1))
		item := randomMatrix(uint64(n), n, 12-n, math.MaxInt64/2)
		many["in/matrices/"+name], many["out/products/"+name] = item, timesTranspose(item)
		keys["in"]["matrices/"+name], keys["out"]["products/"+name] = int(100-n), int(100-n)
	}
	many["case.json"] = caseJSON(t, map[string]any{"keys": keys})

	opticks, books := tree{}, [][]byte{}
	for _, name := range []string{"book-1.txt", "book-2.txt", "book-3.txt"} {
		b, err := fs.ReadFile(samples.Files(), "wordcount/cases/opticks/in/text/"+name)
		if err != nil {
			t.Fatal(err)
		}
		opticks["in/text/"+name] = b
		books = append(books, b)
	}
	opticks["out/counts/counts"] = wordCounts(books...)

	outOfMemory := tree{"in/size/size": []byte("2000")}
	outOfMemory["case.json"] = caseJSON(t, map[string]any{"limits": map[string]string{"memory": "16MiB"}, "fault": "out-of-memory"})

	// Of the composition; its functions have cases of their own.
	few := tree{"web-01.log": logFile(1, "web-01", 70), "web-02.log": logFile(2, "web-02", 90), "db-01/today.log": logFile(3, "db-01", 50)}
	logcount := tree{"in/pattern/pattern": []byte("ERROR"), "out/total/total": occurrences("ERROR", slices.Collect(maps.Values(few))...)}
	for name, log := range few {
		logcount["in/logs/"+name] = log
	}

	all := map[string]tree{
		"logcount/cases/errors":        logcount,
		"logcount/cases/no-logs":       {"in/pattern/pattern": []byte("x"), "out/total/total": []byte("0\n")},
		"logcount/cases/empty-pattern": fails(tree{"in/pattern/pattern": []byte("\n"), "in/logs/log": []byte("a\n")}),

		"matmac/cases/2x2":     macs(matrix(2, 1, 2, 3, 4), matrix(2, 5, 6, 7, 8), matrix(2, 1, 0, 0, 1)),
		"matmac/cases/2x3x1":   macs(matrix(2, 1, 2, 3, 4, 5, 6), matrix(3, 1, -1, 2), matrix(2, 10, math.MaxInt64)),
		"matmac/cases/no-fit":  fails(tree{"in/a/m": matrix(2, 1, 2, 3, 4), "in/b/m": matrix(1, 1, 2), "in/c/m": matrix(2, 1, 2, 3, 4)}),
		"matmac/cases/no-fit2": fails(tree{"in/a/m": matrix(1, 1), "in/b/m": matrix(1, 1), "in/c/m": matrix(2, 1, 1)}),
		"matmac/cases/cut":     fails(tree{"in/a/m": matrix(1, 1), "in/b/m": matrix(1, 1), "in/c/m": matrix(1, 1)[:9]}),
		"diamond/cases/2x2":    diamond(matrix(2, 1, 2, 3, 4)),
		"diamond/cases/5x3":    diamond(randomMatrix(5, 5, 3, math.MaxInt64/2)),

		"callmake/cases/two":     {"in/jobs/a": []byte("wordcount text\nto be\n"), "in/jobs/b": []byte("f@3 in put\n"), "out/requests/a": []byte("INVOKE wordcount\n0 6 text/\nto be\n\n"), "out/requests/b": []byte("INVOKE f@3\n0 0 in put/\n\n")},
		"callmake/cases/no-set":  fails(tree{"in/jobs/a": []byte("wordcount\nto be\n")}),
		"callmake/cases/no-line": fails(tree{"in/jobs/a": []byte("wordcount text")}),
		"callread/cases/three":   {"in/answers/a": []byte("OK 17\n4 3 x/y\n1\n2\n"), "in/answers/b": []byte("FAULT exit 5\ncode 1"), "in/answers/c": []byte("OK 0\n"), "out/contents/a": []byte("1\n2"), "out/faults/b": []byte("exit")},
		"callread/cases/cut":     fails(tree{"in/answers/a": []byte("OK 17\n4 3 x/y\n1\n2")}),
		"callread/cases/long":    fails(tree{"in/answers/a": []byte("OK 17\n4 99999999999 x/y\n1\n2\n")}),
		"callread/cases/other":   fails(tree{"in/answers/a": []byte("yes\n")}),
		"callall/cases/several": {
			"in/jobs/words": []byte("wordcount text\nto be or not to be"), "in/jobs/numbers": []byte("sum@1 numbers\n1 2\n"),
			"in/jobs/bad": []byte("sum numbers\none"), "in/jobs/nobody": []byte("nobody text\n"), "in/jobs/set": []byte("sum texts\n1"),
			"out/contents/words": wordCounts([]byte("to be or not to be")), "out/contents/numbers": []byte("3\n"),
			"out/faults/bad": []byte("exit"), "out/faults/nobody": []byte("unknown-function"), "out/faults/set": []byte("bad-request"),
		},
		"callall/cases/no-line": fails(tree{"in/jobs/a": []byte("wordcount text")}),

		"httpmake/cases/two-lists": {
			"in/uris/a": []byte("http://a.example/x?y\r\n\nhttps://b.example"), "in/uris/b": []byte("http://c\n"),
			"out/requests/a-1": []byte("GET http://a.example/x?y HTTP/1.1\n\n"), "out/requests/a-2": []byte("GET https://b.example HTTP/1.1\n\n"), "out/requests/b-1": []byte("GET http://c HTTP/1.1\n\n"),
		},
		"httpmake/cases/none":    {"case.json": []byte("{}\n")},
		"httpmake/cases/blank":   fails(tree{"in/uris/a": []byte("http://a/ HTTP/1.1\n")}),
		"httpmake/cases/control": fails(tree{"in/uris/a": []byte("http://a/\rx\n")}),

		"sum/cases/several":       {"in/numbers/a": []byte("1 2\n3\n"), "in/numbers/b": []byte("\t40\r\n"), "in/numbers/c": {}, "out/total/total": []byte("46\n")},
		"sum/cases/none":          {"out/total/total": []byte("0\n")},
		"sum/cases/largest":       {"in/numbers/a": []byte("18446744073709551614"), "in/numbers/b": []byte("1"), "out/total/total": []byte("18446744073709551615\n")},
		"sum/cases/sum-too-large": fails(tree{"in/numbers/a": []byte("18446744073709551615"), "in/numbers/b": []byte("1")}),
		"sum/cases/too-large":     fails(tree{"in/numbers/a": []byte("18446744073709551616")}),
		"sum/cases/negative":      fails(tree{"in/numbers/a": []byte("-1")}),
		"sum/cases/text":          fails(tree{"in/numbers/a": []byte("1 two")}),

		"wordmerge/cases/two":       {"in/counts/a": []byte("be 2\nto 2\n"), "in/counts/b": []byte("be 3\nor 1\nb 1\n"), "out/counts/counts": []byte("be 5\nto 2\nb 1\nor 1\n")},
		"wordmerge/cases/unsorted":  {"in/counts/a": []byte("z 1\na 1\nz 1\n"), "out/counts/counts": []byte("z 2\na 1\n")},
		"wordmerge/cases/none":      {"out/counts/counts": {}},
		"wordmerge/cases/largest":   {"in/counts/a": []byte("a 18446744073709551614\na 1\n"), "out/counts/counts": []byte("a 18446744073709551615\n")},
		"wordmerge/cases/too-large": fails(tree{"in/counts/a": []byte("a 18446744073709551615\n"), "in/counts/b": []byte("a 1\n")}),
		"wordmerge/cases/no-count":  fails(tree{"in/counts/a": []byte("word\n")}),
		"wordmerge/cases/no-number": fails(tree{"in/counts/a": []byte("word \n")}),
		"wordmerge/cases/no-word":   fails(tree{"in/counts/a": []byte(" 1\n")}),
		"wordmerge/cases/text":      fails(tree{"in/counts/a": []byte("word 1x\n")}),
		"wordmerge/cases/cut":       fails(tree{"in/counts/a": []byte("word 1")}),

		"matmul/cases/1x1":             oneMatrix(matrix(1, -3)),
		"matmul/cases/2x2":             oneMatrix(matrix(2, 1, 2, 3, 4)),
		"matmul/cases/3x2":             oneMatrix(matrix(3, 1, 2, 3, 4, 5, 6)),
		"matmul/cases/128x128":         oneMatrix(randomMatrix(128, 128, 128, 1_000_000)),
		"matmul/cases/wraps":           oneMatrix(matrix(2, math.MaxInt64, math.MinInt64, math.MinInt64, -1)),
		"matmul/cases/many":            many,
		"matmul/cases/no-items":        {"case.json": []byte("{}\n")},
		"matmul/cases/empty-item":      badMatrix([]byte{}),
		"matmul/cases/cut":             badMatrix(matrix(1, 7)[:15]),
		"matmul/cases/rows-only":       badMatrix(matrix(1)),
		"matmul/cases/rows-zero":       badMatrix(matrix(0, 1)),
		"matmul/cases/rows-negative":   badMatrix(matrix(-1, 1)),
		"matmul/cases/rows-too-many":   badMatrix(matrix(3, 1, 2)),
		"matmul/cases/not-rectangular": badMatrix(matrix(2, 1, 2, 3)),

		"matmul-size/cases/1":             size("1", 1),
		"matmul-size/cases/2":             size("2", 2),
		"matmul-size/cases/blanks":        size(" \t007\r\n", 7),
		"matmul-size/cases/128":           size("128\n", 128),
		"matmul-size/cases/zero":          badSize("0"),
		"matmul-size/cases/negative":      badSize("-1"),
		"matmul-size/cases/text":          badSize("1x"),
		"matmul-size/cases/two-numbers":   badSize("1 2"),
		"matmul-size/cases/empty":         badSize(""),
		"matmul-size/cases/blank":         badSize("\n"),
		"matmul-size/cases/too-large":     badSize("65536"),
		"matmul-size/cases/wraps":         badSize("18446744073709551617"),
		"matmul-size/cases/out-of-memory": outOfMemory,

		"wordcount/cases/opticks":  opticks,
		"wordcount/cases/hello":    text("Hello, hello world!\n"),
		"wordcount/cases/two":      text("to be or not", "TO BE"),
		"wordcount/cases/empty":    text(""),
		"wordcount/cases/no-words": text(" \n--- ...\t"),
		"wordcount/cases/utf-8":    text("\uFEFFÄpfel – Äpfel, äpfel; „naïve“ Straße… 3×4 µm\u00A0µm Ελλάδα 日本語。日本語 😀 😀😀\n"),
		"wordcount/cases/not-utf8": text("a\x80b \xC3", "\xA9 \xC0\xAFc \xED\xA0\x80d \xF4\x90\x80\x80e \xE2\x82f \xFF\xFEg \xF0\x9F\x98"),

		"sumoccurrence/cases/errors":          occurs("ERROR", "ERROR", logs),
		"sumoccurrence/cases/line-end":        occurs("status=404\r\n", "status=404", logs),
		"sumoccurrence/cases/return":          occurs("\r", "\r", tree{"1": []byte("a\r\nb\r\n\r")}),
		"sumoccurrence/cases/blank":           occurs(" ", " ", logs),
		"sumoccurrence/cases/none":            occurs("segmentation fault", "segmentation fault", logs),
		"sumoccurrence/cases/overlapping":     occurs("aa", "aa", tree{"1": []byte("aaa"), "2": []byte("aaaa"), "3": []byte("a")}),
		"sumoccurrence/cases/across-items":    occurs("ab", "ab", tree{"1": []byte("a"), "2": []byte("b ab\nab")}),
		"sumoccurrence/cases/longer-than-log": occurs("abcd", "abcd", tree{"1": []byte("abc"), "2": []byte("")}),
		"sumoccurrence/cases/binary":          occurs("\x00\xFF", "\x00\xFF", tree{"1": []byte("\x00\x00\xFF\xFF\x00\xFF")}),
		"sumoccurrence/cases/no-logs":         occurs("x", "x", nil),
		"sumoccurrence/cases/empty-pattern":   fails(tree{"in/pattern/pattern": []byte("\n"), "in/logs/log": []byte("a\nb\n")}),
	}
	maps.Copy(all, imageFolders())
	maps.Copy(all, compressionFolders())
	maps.Copy(all, sqlFolders())
	maps.Copy(all, languageFolders())
	return all
}

func caseJSON(t *testing.T, v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// TestCases holds the case folders against inputs and outputs that are worked
// out here, without the samples.
func TestCases(t *testing.T) {
	want := folders(t)
	if *update {
		write(t, want)
		return
	}
	have := map[string]tree{}
	err := fs.WalkDir(samples.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		parts := strings.SplitN(name, "/", 4)
		if err != nil || d.IsDir() || len(parts) < 4 {
			return err
		}
		folder := path.Join(parts[:3]...)
		if have[folder] == nil {
			have[folder] = tree{}
		}
		have[folder][parts[3]], err = fs.ReadFile(samples.Files(), name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range slices.Sorted(maps.Keys(have)) {
		if want[folder] == nil {
			t.Errorf("%s is not in the table", folder)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(want)) {
		if !maps.EqualFunc(have[folder], want[folder], bytes.Equal) {
			t.Errorf("%s differs from what it should hold; if the table is right, run go test ./samples -update", folder)
		}
	}
}

func write(t *testing.T, all map[string]tree) {
	for folder, files := range all {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		for name, b := range files {
			name = path.Join(folder, name)
			if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
