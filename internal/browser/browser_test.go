package browser

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const root = "../.."

// program is the path of the program, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pappus-browser")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "pappus"), "./cmd/pappus")
	build.Dir = root
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(dir, "pappus"), err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// serve starts a server with a function, and returns its address.
func serve(t *testing.T, flags ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the server says %q (%v)", line, err)
	}
	push := exec.Command(path, "push", "--server", address, filepath.Join(root, "samples/wordcount/wordcount.wasm"))
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return address
}

// visit is a browser with one page, and what the page did.
type visit struct {
	context.Context

	mu        sync.Mutex
	asked     []string // addresses of requests
	complaint []string // errors on the page's console
}

func browse(t *testing.T) *visit {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt-get install -y --no-install-recommends chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancel)
	v := &visit{Context: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			v.asked = append(v.asked, e.Request.URL)
		case *runtime.EventExceptionThrown:
			v.complaint = append(v.complaint, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				v.complaint = append(v.complaint, fmt.Sprint(e.Args))
			}
		}
	})
	return v
}

func (v *visit) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(v, actions...); err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		t.Fatalf("%v\nthe page asked for %q and complained %q", err, v.asked, v.complaint)
	}
}

// The page shows every operation but HEAD and OPTIONS, calls first, tries one
// when asked, and asks nobody but its server for anything.
func TestDescriptionPage(t *testing.T) {
	address := serve(t)
	v := browse(t)
	var operations int
	v.run(t,
		chromedp.Navigate(address+"/docs"),
		chromedp.WaitVisible(`#operations-invocations-invoke`),
		chromedp.Evaluate(`document.querySelectorAll(".opblock").length`, &operations),
	)
	text, err := os.ReadFile(filepath.Join(root, "server/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	described := len(regexp.MustCompile(`(?m)^    (get|put|post|delete):$`).FindAll(text, -1))
	if operations != described || described < 15 {
		t.Errorf("the page shows %d operations, the description has %d", operations, described)
	}
	var tags []string
	v.run(t, chromedp.Evaluate(`[...document.querySelectorAll(".opblock-tag")].map(e => e.dataset.tag)`, &tags))
	var want []string
	for _, tag := range regexp.MustCompile(`(?m)^  - name: (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		if tag[1] != "head-and-options" { // the page leaves these out
			want = append(want, tag[1])
		}
	}
	if !slices.Equal(tags, want) || len(want) < 4 {
		t.Errorf("the page shows %q, want %q", tags, want)
	}
	if answer := v.try(t, "functions-listFunctions"); !strings.Contains(answer, "200") || !strings.Contains(answer, `"name": "wordcount"`) {
		t.Errorf("an operation that was tried shows %q", answer)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, asked := range v.asked {
		if !strings.HasPrefix(asked, address+"/") && !strings.HasPrefix(asked, "data:") {
			t.Errorf("the page asks for %s", asked)
		}
	}
	if len(v.asked) < 5 || len(v.complaint) > 0 {
		t.Errorf("the page asked for %q and complained %q", v.asked, v.complaint)
	}
}

// try opens an operation, has it tried as the page prefills it once prepare is
// done, and returns what the page shows of the answer.
func (v *visit) try(t *testing.T, operation string, prepare ...chromedp.Action) string {
	t.Helper()
	block := "#operations-" + operation + " "
	var answer string
	v.run(t,
		chromedp.WaitVisible(block),
		chromedp.Click(block+`.opblock-summary-control`),
		chromedp.Click(block+`.try-out__btn`),
		chromedp.WaitVisible(block+`.execute`),
	)
	v.run(t, prepare...)
	v.run(t,
		chromedp.Click(block+`.execute`),
		chromedp.WaitVisible(block+`.live-responses-table .response-col_description`),
		chromedp.Text(block+`.live-responses-table`, &answer),
	)
	return answer
}

// Who opens an operation and fills in the least that it needs gets what the
// operation is for: what is prefilled is in nobody's way.
func TestTryItOut(t *testing.T) {
	address := serve(t)
	module, err := filepath.Abs(filepath.Join(root, "samples/wordcount/wordcount.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	const name = `#operations-functions-putFunction tr[data-param-name="ref"] input`
	v := browse(t)
	v.run(t, chromedp.Navigate(address+"/docs"))
	for _, c := range []struct {
		operation string
		prepare   []chromedp.Action
		want      []string
	}{
		{"invocations-invoke", nil, []string{"200", "be 2\nto 2\nnot 1\nor 1"}},
		{"invocations-invokeByQuery", nil, []string{"200", "be 2\nto 2\nnot 1\nor 1"}},
		{"functions-putFunction", []chromedp.Action{
			chromedp.Evaluate(`document.querySelector('`+name+`').select()`, nil),
			chromedp.SendKeys(name, "fresh\t"),
			chromedp.SetUploadFiles(`#operations-functions-putFunction input[type="file"]`, []string{module}),
		}, []string{"201", `"name": "fresh"`, `"version": 1`}},
		{"functions-listFunctions", nil, []string{"200", `"name": "fresh"`, `"name": "wordcount"`}},
		{"functions-listVersions", nil, []string{"200", `"name": "wordcount"`}},
		{"functions-putTag", nil, []string{"200", `"stable": 1`}},
	} {
		t.Run(c.operation, func(t *testing.T) {
			answer := v.try(t, c.operation, c.prepare...)
			for _, want := range c.want {
				if !strings.Contains(answer, want) {
					t.Errorf("the page shows no %q:\n%s", want, answer)
				}
			}
		})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.complaint) > 0 {
		t.Errorf("the page complained %q", v.complaint)
	}
}

// pageOf is the page that the document shows, calling that server.
func pageOf(t *testing.T, address string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/invoking.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```html\n(.*?)```").FindStringSubmatch(string(text))
	if found == nil || !strings.Contains(found[1], "http://127.0.0.1:8080") {
		t.Fatal("the document has no page")
	}
	return strings.ReplaceAll(found[1], "http://127.0.0.1:8080", address)
}

// The document's page works where its origin is allowed, and gets nothing where
// it is not: neither can it see an answer, nor is a function called.
func TestPageOfAnotherOrigin(t *testing.T) {
	var page string
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}))
	if err := web.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	web.Listener = ln
	web.Start()
	defer web.Close()
	u, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://localhost:" + u.Port()

	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprint("allowed=", allowed), func(t *testing.T) {
			var flags []string
			if allowed {
				flags = []string{"--origin", origin}
			}
			address := serve(t, flags...)
			page = pageOf(t, address)
			v := browse(t)
			v.run(t, chromedp.Navigate(origin+"/"))
			var shown string
			if !allowed {
				v.run(t, chromedp.Poll(`window.failed || performance.getEntriesByType("resource").length > 0`, nil))
				var failure string
				v.run(t, chromedp.Evaluate(`fetch("`+address+`/v1/invoke/wordcount", {method: "POST", body: "a"}).then(r => "answer " + r.status, e => "no answer")`, &failure,
					func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
					chromedp.Text("#counts", &shown))
				if failure != "no answer" || shown != "" {
					t.Errorf("it got %q and shows %q", failure, shown)
				}
				if body := metrics(t, address); !strings.Contains(body, `pappus_invocations_total{outcome="ok"} 0`) {
					t.Error("a function was called")
				}
				return
			}
			v.run(t, chromedp.Poll(`document.getElementById("counts").textContent.includes("by header")`, nil),
				chromedp.Text("#counts", &shown))
			if !regexp.MustCompile(`(?s)^be 2\nto 2\nnot 1\nor 1\nbe 1\nnot 1\nor 1\nto 1\nfuel (\d+), by header \d+$`).MatchString(strings.TrimSpace(shown)) {
				t.Errorf("it shows %q", shown)
			}
		})
	}
}

func metrics(t *testing.T, address string) string {
	t.Helper()
	out, err := exec.Command("curl", "-sS", address+"/metrics").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
