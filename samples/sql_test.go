package samples_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

// answers is a case of sql.
func answers(query string, files tree, rows ...string) tree {
	t := tree{"in/query/query.sql": []byte(query)}
	keys := map[string]int{}
	for name, b := range files {
		t["in/tables/"+name] = b
	}
	for i, r := range rows {
		name := strconv.Itoa(i+1) + ".csv"
		t["out/rows/"+name], keys["rows/"+name] = []byte(r), i+1
	}
	if len(rows) > 0 {
		t["case.json"] = fmt.Appendf(nil, "{\"keys\": {\"out\": {%s}}}\n", strings.Join(keyList(keys), ", "))
	}
	return t
}

func keyList(keys map[string]int) (list []string) {
	for name, key := range keys {
		list = append(list, fmt.Sprintf("%q: %d", name, key))
	}
	slices.Sort(list)
	return list
}

func sqlFolders() map[string]tree {
	teas := tree{
		"teas.csv":            []byte("name,country,grams,price\nAssam,India,250,7.5\nDarjeeling,India,100,9\n\"Long Jing, first\",China,50,12.25\nSencha,Japan,100,8\nKeemun,China,,6.5\n"),
		"stock/countries.csv": []byte("\xEF\xBB\xBFcountry,harvests\r\nIndia,4\r\n\r\nChina,2\r\nJapan,3\r\n"),
	}
	bad := func(code int, query, file string) tree {
		return failsWith(code, tree{"in/query/q": []byte(query), "in/tables/t.csv": []byte(file)})
	}
	return map[string]tree{
		"sql/cases/join": answers(`
			-- the dearest tea of each country
			SELECT t.country, t.name, t.price, harvests
			FROM teas t JOIN countries c ON c.country = t.country
			WHERE price = (SELECT max(price) FROM teas WHERE country = t.country)
			ORDER BY 1;`, teas, "country,name,price,harvests\nChina,\"Long Jing, first\",12.25,2\nIndia,Darjeeling,9,4\nJapan,Sencha,8,3\n"),
		"sql/cases/several": answers(`
			CREATE VIEW light AS SELECT * FROM teas WHERE grams < 150;
			SELECT count(*) AS n, sum(grams) AS grams FROM light;
			DELETE FROM teas WHERE country <> 'Japan';
			SELECT * FROM light`, teas, "n,grams\n3,250\n", "name,country,grams,price\nSencha,Japan,100,8\n"),
		"sql/cases/windows": answers("SELECT name, rank() OVER (PARTITION BY country ORDER BY price DESC) AS place FROM teas ORDER BY country, place", teas,
			"name,place\n\"Long Jing, first\",1\nKeemun,2\nDarjeeling,1\nAssam,2\nSencha,1\n"),
		"sql/cases/kinds": answers("SELECT v, typeof(v) AS kind FROM t", tree{"t.csv": []byte("v,w\n,x\n\"\",x\n7,x\n-0.5,x\n1e3,x\n007,x\n+1,x\n9223372036854775807,x\n9223372036854775808,x\n1.,x\n\"a \"\"b\"\"\n\",x\n x,x\n")},
			"v,kind\n,null\n\"\",text\n7,integer\n-0.5,real\n1000.0,real\n007,text\n+1,text\n9223372036854775807,integer\n9223372036854775808,text\n1.,text\n\"a \"\"b\"\"\n\",text\n\" x\",text\n"),
		"sql/cases/no-tables":   answers("WITH RECURSIVE n(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM n LIMIT 1000) SELECT sum(n) FROM n; ; SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]') AS a", nil, "sum(n)\n500500\n", "a\n2\n"),
		"sql/cases/no-time":     answers("SELECT datetime('now') AS now", nil, "now\n1970-01-01 00:00:00\n"),
		"sql/cases/empty":       {"in/query/q": {}},
		"sql/cases/wrong-query": bad(1, "SELECT nothing FROM t", "a\n1\n"),
		"sql/cases/no-rows":     bad(1, "SELECT abs(-9223372036854775807 - 1)", "a\n1\n"),
		"sql/cases/no-header":   bad(2, "SELECT 1", "\n"),
		"sql/cases/too-many":    bad(2, "SELECT 1", "a,b\n1,2\n3,4,5\n"),
		"sql/cases/too-few":     bad(2, "SELECT 1", "a,b\n1,2\n3\n"),
		"sql/cases/quote":       bad(2, "SELECT 1", "a\n1\"2\n"),
		"sql/cases/open-quote":  bad(2, "SELECT 1", "a\n\"1\n2\n"),
		"sql/cases/behind":      bad(2, "SELECT 1", "a\n\"1\"2\n"),
		"sql/cases/same-name":   bad(2, "SELECT 1", "a,a\n1,2\n"),
		"sql/cases/memory": {
			"in/query/q": []byte("SELECT length(group_concat(hex(zeroblob(1000000)))) FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9))"),
			"case.json":  []byte("{\"limits\": {\"memory\": \"8MiB\"}, \"fault\": \"out-of-memory\"}\n"),
		},
	}
}

// TestSQL runs the cases, and compares tables and sums with those of Go.
func TestSQL(t *testing.T) {
	t.Setenv(workerEnv, "1")
	code := readFile(t, "libc/sql/sql.wasm")
	e := newEngine(t, wasmengine.Config{Compiler: []string{"/proc/self/exe"}})
	passesCases(t, e, "sql", code)
	p := prepareCode(t, e, code, engine.Limits{})
	ask := func(t *testing.T, table []byte, query string) [][]string {
		t.Helper()
		got := p.call(t, data.Set{Name: "tables", Items: []*data.Item{data.NewItem("t.csv", 0, table)}}, set("query", []byte(query)))
		if got.code != 0 || len(got.items) != 1 {
			t.Fatalf("exit code %d %q", got.code, got.why)
		}
		rows, err := csv.NewReader(bytes.NewReader(got.items[0])).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	r := rand.New(rand.NewPCG(11, 11))
	pieces := []string{"", "a", "0", "-1", "1.5", "\"", ",", "\n", "\r\n", "x y", "Ä", "'", "07", "1e", ".", "\\"}
	for range 60 {
		var rows [][]string
		sums := map[string]int64{}
		for range 1 + r.IntN(30) {
			text := "t" // never empty, no number
			for range r.IntN(5) {
				text += pieces[r.IntN(len(pieces))]
			}
			text = strings.ReplaceAll(text, "\r\n", "\n") // as Go reads it
			kind, n := string(rune('p'+r.IntN(4))), r.Int64N(1<<40)-1<<39
			rows = append(rows, []string{kind, text, strconv.FormatInt(n, 10)})
			sums[kind] += n
		}
		head := []string{"kind", "some \"text\"", "n"}
		var table bytes.Buffer
		w := csv.NewWriter(&table)
		w.UseCRLF = r.IntN(2) == 0
		if err := errors.Join(w.Write(head), w.WriteAll(rows)); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, table.Bytes(), "SELECT * FROM t"); !slices.EqualFunc(got, append([][]string{head}, rows...), slices.Equal) {
			t.Fatalf("%q became %q", table.Bytes(), got)
		}
		want := [][]string{{"kind", "n"}}
		for kind, sum := range sums {
			want = append(want, []string{kind, strconv.FormatInt(sum, 10)})
		}
		slices.SortFunc(want[1:], func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
		if got := ask(t, table.Bytes(), "SELECT kind, sum(n) AS n FROM t GROUP BY kind ORDER BY kind"); !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q instead of %q", got, want)
		}
	}
	// Damaged tables end in one of the ways that the function has.
	for range 500 {
		table := []byte("a,b\n1,\"x\ny\"\n,2\r\n\"\"\"\",z\n")
		for range 1 + r.IntN(4) {
			table[r.IntN(len(table))] = "\",\n\r1a\x00\xFF"[r.IntN(8)]
		}
		table = table[:r.IntN(len(table)+1)]
		if got := p.call(t, set("tables", table), set("query", []byte("SELECT 1"))); got.code != 0 && got.code != 2 {
			t.Fatalf("%q: exit code %d %q", table, got.code, got.why)
		}
	}
}

// TestRebuildLibc makes the samples with libc from their sources, byte for byte.
// SQLite takes long to compile, and is kept where make keeps it.
func TestRebuildLibc(t *testing.T) {
	for _, tool := range []string{"make", "clang-14", "wasm-ld-14", "go"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s", tool)
		}
	}
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("needs wasi-libc: apt-get install -y --no-install-recommends wasi-libc libclang-rt-14-dev-wasm32")
	}
	out := t.TempDir()
	rebuild := exec.CommandContext(t.Context(), "make", "-C", "libc", "OUT="+out)
	if log, err := rebuild.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, log)
	}
	if !bytes.Equal(readFile(t, filepath.Join(out, "sql", "sql.wasm")), readFile(t, "libc/sql/sql.wasm")) {
		t.Error("libc/sql/sql.wasm is not what its sources give; run make -C samples/libc")
	}
}
