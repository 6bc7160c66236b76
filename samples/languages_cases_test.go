package samples_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// languageFolders are the case folders of samples that are not in C.
func languageFolders() map[string]tree {
	grep := func(pattern string, files tree, matches string) tree {
		t := tree{"in/pattern/pattern": []byte(pattern), "out/matches/matches": []byte(matches)}
		for name, b := range files {
			t["in/files/"+name] = b
		}
		return t
	}
	log := tree{
		"a.log": []byte("GET /index.html 200\nGET /nothing 404\nPOST /login 500\n"), "b/c.log": []byte("GET /ä 404\r\nGET /last 503"),
		"picture": []byte("GET /picture 404\n\x00"),
	}
	page := []byte(`<h1>{{.title}}</h1>
<ul>{{range .items}}
<li><a href="{{.link}}" onclick="show({{.}})">{{.name}}</a>: {{printf "%s" .price}}</li>{{else}}
<li>none</li>{{end}}
</ul>
`)
	all := map[string]tree{
		"grep/cases/errors":      grep(` (4\d\d|5\d\d)$`, log, "a.log:2:GET /nothing 404\na.log:3:POST /login 500\nb/c.log:1:GET /ä 404\nb/c.log:2:GET /last 503\n"),
		"grep/cases/any-letters": grep("(?i)^get /\\p{L}+ \n", log, "a.log:2:GET /nothing 404\nb/c.log:1:GET /ä 404\nb/c.log:2:GET /last 503\n"),
		"grep/cases/slow":        grep("^(a+)+$", tree{"a": []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\naa\n")}, "a:2:aa\n"),
		"grep/cases/none":        grep("x", nil, ""),
		"grep/cases/wrong":       failsWith(1, tree{"in/pattern/pattern": []byte("(")}),

		"render/cases/shop": {
			"in/template/page.html": page,
			"in/data/teas.json":     []byte(`{"title": "Teas & more", "items": [{"name": "<Assam>", "price": 7.50, "link": "/teas?name=a b"}, {"name": "Sencha", "price": 8, "link": "javascript:alert(1)"}]}`),
			"in/data/2026/none":     []byte(`{"title": "", "items": []}`),
			"out/pages/teas.html": []byte("<h1>Teas &amp; more</h1>\n<ul>\n" +
				`<li><a href="/teas?name=a%20b" onclick="show({&#34;link&#34;:&#34;/teas?name=a b&#34;,&#34;name&#34;:&#34;\u003cAssam\u003e&#34;,&#34;price&#34;:7.50})">&lt;Assam&gt;</a>: 7.50</li>` + "\n" +
				`<li><a href="#ZgotmplZ" onclick="show({&#34;link&#34;:&#34;javascript:alert(1)&#34;,&#34;name&#34;:&#34;Sencha&#34;,&#34;price&#34;:8})">Sencha</a>: 8</li>` + "\n</ul>\n"),
			"out/pages/2026/none.html": []byte("<h1></h1>\n<ul>\n<li>none</li>\n</ul>\n"),
		},
		"render/cases/no-field":       failsWith(1, tree{"in/template/t": []byte("{{.a.b}}"), "in/data/d": []byte(`{"a": {}}`)}),
		"render/cases/wrong-template": failsWith(1, tree{"in/template/t": []byte("{{if}}"), "in/data/d": []byte("{}")}),
		"render/cases/wrong-document": failsWith(1, tree{"in/template/t": []byte("{{.}}"), "in/data/d": []byte("{} {}")}),

		"markdown/cases/page": {
			"in/texts/notes/page.md": []byte("# A *page*\n\nWith `code < 1`, **bold**, ~~old~~ and https://example.com/?a&b.\n\n" +
				"- [x] done\n- [ ] to do\n\n| tea | price |\n|---|--:|\n| Assam | 7.50 |\n\n<script>run()</script>\n\n[run](javascript:run())\n"),
			"in/texts/empty": {},
			"out/pages/notes/page.html": []byte(`<h1 id="a-page">A <em>page</em></h1>` + "\n" +
				`<p>With <code>code &lt; 1</code>, <strong>bold</strong>, <del>old</del> and <a href="https://example.com/?a&amp;b">https://example.com/?a&amp;b</a>.</p>` + "\n" +
				"<ul>\n" + `<li><input checked="" disabled="" type="checkbox"> done</li>` + "\n" + `<li><input disabled="" type="checkbox"> to do</li>` + "\n</ul>\n" +
				"<table>\n<thead>\n<tr>\n<th>tea</th>\n" + `<th style="text-align:right">price</th>` + "\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>Assam</td>\n" +
				`<td style="text-align:right">7.50</td>` + "\n</tr>\n</tbody>\n</table>\n<!-- raw HTML omitted -->\n" + `<p><a href="">run</a></p>` + "\n"),
			"out/pages/empty.html": {},
		},

		"orders/cases/two-files": {
			"in/orders/2026.json": []byte(`[{"id": 1, "customer": "Ada", "date": "2026-10-31", "lines": [{"article": "tea", "count": 2, "cents": 450}, {"article": "cup", "count": 1, "cents": 1205}]},
 {"id": 2, "customer": "Mill, \"J.\"", "date": "2026-11-01", "lines": [{"article": "tea", "count": 1, "cents": 450}]},
 {"id": 3, "customer": "Ada", "date": "2026-11-02", "lines": [{"article": "pot", "count": 1, "cents": 3000}]},
 {"id": 4, "customer": "Ada", "date": "2026-11-30", "lines": [{"article": "pot", "count": -1, "cents": 3000}]}]`),
			"in/orders/late.json":   []byte(`[{"id": 2, "customer": "Mill, \"J.\"", "date": "2026-11-01", "lines": [{"article": "tea", "count": 1, "cents": 450}]}, {"customer": "Bo", "date": "2026-11-30", "lines": [{"count": -1, "cents": 5}]}]`),
			"out/report/report.csv": []byte("month,customer,orders,articles,total\n2026-10,Ada,1,3,21.05\n2026-11,\"Mill, \"\"J.\"\"\",1,1,4.50\n2026-11,Ada,2,0,0.00\n2026-11,Bo,1,-1,-0.05\n"),
		},
		"orders/cases/none":     {"out/report/report.csv": []byte("month,customer,orders,articles,total\n"), "case.json": []byte("{}\n")},
		"orders/cases/no-order": failsWith(1, tree{"in/orders/a": []byte(`[{"customer": "Ada"}]`)}),
		"orders/cases/no-json":  failsWith(1, tree{"in/orders/a": []byte("orders")}),
	}
	for _, folders := range []map[string]tree{searchFolders(), suggestFolders(), accesslogFolders(), deployFolders(), checksumsFolders()} {
		maps.Copy(all, folders)
	}
	return all
}

func searchFolders() map[string]tree {
	texts := tree{
		"teas/assam":  []byte("Assam is a black tea.\nA strong tea, TEA for the morning.\r\nIt takes milk.\n"),
		"teas/sencha": []byte("Sencha is a green tea\nfrom Japan; no milk."),
		"cups":        []byte("A cup for tea.\n\nGrüner Tee: 80 °C, no e-mail.\n"),
		"empty":       {},
	}
	search := func(query string) tree {
		t := tree{"in/query/query": []byte(query)}
		for name, text := range texts {
			t["in/texts/"+name] = text
		}
		return t
	}
	finds := func(query string, with, without [][]string) tree {
		t := search(query)
		var list []document
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			list = append(list, document{name, string(texts[name])})
		}
		t["out/found/found"] = []byte(found(list, with, without))
		return t
	}
	return map[string]tree{
		"search/cases/one":      finds("tea", [][]string{{"tea"}}, nil),
		"search/cases/several":  finds(" Milk\tTEA ", [][]string{{"milk"}, {"tea"}}, nil),
		"search/cases/phrase":   finds("\"a green TEA, from\"\n", [][]string{{"a", "green", "tea", "from"}}, nil),
		"search/cases/without":  finds("tea -milk -\"no tea\" -", [][]string{{"tea"}}, [][]string{{"milk"}, {"no", "tea"}}),
		"search/cases/letters":  finds("grüner e-mail", [][]string{{"grüner"}, {"e", "mail"}}, nil),
		"search/cases/nothing":  finds("coffee", [][]string{{"coffee"}}, nil),
		"search/cases/no-texts": {"in/query/query": []byte("tea"), "out/found/found": {}},
		"search/cases/no-query": failsWith(1, search(" -tea \"!\"")),
		"search/cases/no-quote": failsWith(1, search("tea \"green")),
	}
}

func suggestFolders() map[string]tree {
	words := []byte("tea\nAssam\nDarjeeling\nStraße\n\r\nteas\nten\n😀😀😀😀😀\nteapot\n")
	return map[string]tree{
		"suggest/cases/several": {
			"in/words/teas": words, "in/words/more": []byte("Assam tea"),
			"in/typed/a": []byte("Asam\ntew\netA\nstrase\r\nDarjeelign\n\ndarjling\ncoffee\ntea\n😀😀😁😀😁"), "in/typed/none": {},
			"out/suggestions/a":    []byte("Asam\tAssam\ntew\ttea ten\netA\ttea\nstrase\tStraße\nDarjeelign\tDarjeeling\ndarjling\tDarjeeling\ncoffee\t\ntea\ttea\n😀😀😁😀😁\t😀😀😀😀😀\n"),
			"out/suggestions/none": {},
		},
		"suggest/cases/most":         {"in/words/w": []byte("teapots\nteapost\nteapot\nteapo\nteap"), "in/typed/t": []byte("teapt\n"), "out/suggestions/t": []byte("teapt\tteapot teapo teap\n")},
		"suggest/cases/no-words":     failsWith(1, tree{"in/words/w": []byte(" \n"), "in/typed/t": []byte("a")}),
		"suggest/cases/too-long":     failsWith(1, tree{"in/words/w": []byte("a"), "in/typed/t": []byte("a\n" + strings.Repeat("😀", 101))}),
		"suggest/cases/far-too-long": failsWith(1, tree{"in/words/w": []byte(strings.Repeat("a", 100_000)), "in/typed/t": []byte("a")}),
	}
}

func accesslogFolders() map[string]tree {
	const line = `198.51.100.7 - ada [25/Nov/2026:09:30:00 +0100] "GET /t%20ea?a=b%20c HTTP/1.1" 200 512 "-" "a \"b\" \\ \x01"` + "\n"
	return map[string]tree{
		"accesslog/cases/combined": {
			"in/logs/web/a.log": []byte(line + "\r\n" + `2001:db8::1 - - [29/Feb/2028:23:59:60 -0030] "\x16\x03" 400 -` + "\r\n" + `198.51.100.8 - - [01/Jan/1970:00:00:00 +0000] "GET /%E2%82%AC%FF HTTP/2.0" 304 0 "http://example.com/" "-"`),
			"in/logs/empty":     {},
			"out/records/web/a.log.jsonl": []byte(`{"time":1795595400,"host":"198.51.100.7","user":"ada","method":"GET","path":"/t ea","query":"a=b%20c","protocol":"HTTP/1.1","status":200,"bytes":512,"agent":"a \"b\" \\ \u0001"}` + "\n" +
				`{"time":1835483400,"host":"2001:db8::1","request":"\u0016\u0003","status":400,"bytes":0}` + "\n" +
				`{"time":0,"host":"198.51.100.8","method":"GET","path":"/€` + "\uFFFD" + `","protocol":"HTTP/2.0","status":304,"bytes":0,"referer":"http://example.com/"}` + "\n"),
			"out/records/empty.jsonl": {}, "out/rejected/rejected": {},
		},
		"accesslog/cases/rejected": {
			"in/logs/a":             []byte("no record\n" + line + strings.Replace(line, "25/Nov", "31/Nov", 1) + strings.Replace(line, "25/Nov/2026", "29/Feb/2100", 1) + strings.TrimSuffix(line, "\"\n")),
			"out/records/a.jsonl":   []byte(`{"time":1795595400,"host":"198.51.100.7","user":"ada","method":"GET","path":"/t ea","query":"a=b%20c","protocol":"HTTP/1.1","status":200,"bytes":512,"agent":"a \"b\" \\ \u0001"}` + "\n"),
			"out/rejected/rejected": []byte("a:1:no record\na:3:" + strings.Replace(line, "25/Nov", "31/Nov", 1) + "a:4:" + strings.Replace(line, "25/Nov/2026", "29/Feb/2100", 1) + "a:5:" + strings.TrimSuffix(line, "\"\n") + "\n"),
		},
		"accesslog/cases/no-log": failsWith(1, tree{"in/logs/a": []byte(line), "in/logs/picture": []byte("\x89PNG\r\n\x1a\n\x00")}),
	}
}

func deployFolders() map[string]tree {
	const web, db = `{"image": "shop/web:1.4", "port": 8080, "replicas": 2, "memory": 256, "needs": ["order-db"], "env": {"MODE": "fast"}}`, `{"image": "db:17", "port": 5432}`
	refused := func(web, db, environment string) tree {
		return failsWith(1, tree{"in/services/web.json": []byte(web), "in/services/order-db.json": []byte(db), "in/environments/live.json": []byte(environment)})
	}
	const live = `{"memory": 2000}`
	return map[string]tree{
		"deploy/cases/two": {
			"in/services/web.json": []byte(web), "in/services/order-db.json": []byte(db), "in/services/cache.json": []byte(`{"image": "cache", "port": 8080, "replicas": 0}`),
			"in/environments/live.json": []byte(`{"memory": 4096, "domain": "example.com", "services": {"web": {"replicas": 4, "env": {"A": "<ä>"}}}}`),
			"in/environments/test":      []byte(`{"memory": 128, "services": {"web": {"replicas": 0}}}`),
			"out/deployments/live.json": []byte(`{
  "memory": 1152,
  "services": [
    {
      "env": {},
      "host": "order-db.example.com",
      "image": "db:17",
      "memory": 128,
      "name": "order-db",
      "port": 5432,
      "replicas": 1
    },
    {
      "env": {
        "A": "\u003cä\u003e",
        "MODE": "fast",
        "ORDER_DB_ADDRESS": "order-db.example.com:5432"
      },
      "host": "web.example.com",
      "image": "shop/web:1.4",
      "memory": 256,
      "name": "web",
      "port": 8080,
      "replicas": 4
    }
  ]
}
`),
			"out/deployments/test.json": []byte(`{
  "memory": 128,
  "services": [
    {
      "env": {},
      "host": "order-db",
      "image": "db:17",
      "memory": 128,
      "name": "order-db",
      "port": 5432,
      "replicas": 1
    }
  ]
}
`),
		},
		"deploy/cases/no-json":   refused(web, "services", live),
		"deploy/cases/no-field":  refused(web, `{"image": "db:17", "port": 5432, "ports": 2}`, live),
		"deploy/cases/no-image":  refused(web, `{"port": 5432}`, live),
		"deploy/cases/range":     refused(web, `{"image": "db:17", "port": 65536}`, live),
		"deploy/cases/same-port": refused(web, `{"image": "db:17", "port": 8080}`, live),
		"deploy/cases/circle":    refused(web, `{"image": "db:17", "port": 5432, "needs": ["web"]}`, live),
		"deploy/cases/memory":    refused(web, db, `{"memory": 639}`),
		"deploy/cases/needed":    refused(web, db, `{"memory": 2000, "services": {"order-db": {"replicas": 0}}}`),
		"deploy/cases/unknown":   refused(web, db, `{"memory": 2000, "services": {"db": {}}}`),
		"deploy/cases/name":      failsWith(1, tree{"in/services/Web.json": []byte(db)}),
	}
}

func checksumsFolders() map[string]tree {
	files := tree{"b/c": []byte("to be"), "a": {}, "ä b": []byte(strings.Repeat("or not\n", 5000))}
	line := func(name, between string) string {
		return fmt.Sprintf("%x%s%s\n", sha256.Sum256(files[name]), between, name)
	}
	with := func(t tree) tree {
		for name, b := range files {
			t["in/files/"+name] = b
		}
		return t
	}
	sums := []byte(line("a", "  ") + line("b/c", "  ") + line("ä b", "  "))
	return map[string]tree{
		"checksums/cases/made":     with(tree{"out/sums/SHA256SUMS": sums}),
		"checksums/cases/compared": with(tree{"in/expected/x/1": []byte(strings.ToUpper(line("a", "  ")[:64]) + "  a\r\n\n" + line("b/c", " *")), "in/expected/2": {}, "out/sums/SHA256SUMS": sums}),
		"checksums/cases/none":     {"out/sums/SHA256SUMS": {}},
		"checksums/cases/another":  failsWith(1, with(tree{"in/expected/l": []byte(line("a", "  ")[:64] + "  b/c\n")})),
		"checksums/cases/missing":  failsWith(1, with(tree{"in/expected/l": []byte(line("a", "  ")[:64] + "  c\n")})),
		"checksums/cases/no-list":  failsWith(2, with(tree{"in/expected/l": []byte(line("a", " "))})),
		"checksums/cases/no-name":  failsWith(2, with(tree{"in/expected/l": []byte(line("a", "  ")[:66])})),
	}
}
