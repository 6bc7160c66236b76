package samples_test

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
	return map[string]tree{
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
}
