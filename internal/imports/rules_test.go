package imports_test

// A rule says which packages of this project one package may import.
type rule struct {
	may   []string // in all its files
	tests []string // besides, in its tests
}

// anything allows every package of the project.
const anything = "*"

// suite is what every engine's tests call.
const suite = "engine/enginetest"

// rules by package. The arrows point down only: cmd wires server, server knows
// dispatcher, dispatcher knows registry and iofuncs, all of these know engine,
// and engine knows data. Nobody but cmd knows an engine.
var rules = map[string]rule{
	"cmd/pappus":                   {may: []string{anything}},
	"cmd/pappus/internal/settings": {may: []string{"internal/suggest", "engine"}},

	"server": {
		may:   []string{"server/api", "server/problem", "server/viewer", "dispatcher", "dispatcher/composition", "dispatcher/memo", "registry", "spans", "engine", "data", "internal/multiparts"},
		tests: []string{"client", "internal/contract", "iofuncs", "spans/spanstest"},
	},
	"server/api":      {may: []string{"engine", "data"}},
	"server/problem":  {may: []string{"server/api", "dispatcher", "registry", "engine", "data"}},
	"server/viewer":   {},
	"spans":           {may: []string{"dispatcher", "iofuncs", "engine"}, tests: []string{"spans/spanstest"}},
	"spans/spanstest": {},
	"dispatcher": {
		may:   []string{"dispatcher/composition", "dispatcher/shard", "dispatcher/memo", "registry", "iofuncs", "engine", "data"},
		tests: []string{"dispatcher/shard/shardtest"},
	},
	"dispatcher/composition": {may: []string{"dispatcher/shard", "dispatcher/memo", "engine", "data", "internal/suggest"}},
	"dispatcher/memo":        {may: []string{"engine", "data"}},
	"dispatcher/shard": {
		may:   []string{"data"},
		tests: []string{"dispatcher/shard/shardtest"},
	},
	"dispatcher/shard/shardtest": {may: []string{"dispatcher/shard", "data"}},
	"registry":                   {may: []string{"engine", "data"}},
	"iofuncs":                    {may: []string{"data"}},
	"iofuncs/httpcache":          {},
	"iofuncs/egress":             {tests: []string{"iofuncs/egress/egresstest"}},
	"iofuncs/egress/egresstest":  {},
	"iofuncs/conns":              {tests: []string{"iofuncs/conns/connstest"}},
	"iofuncs/conns/connstest":    {},
	"iofuncs/blobio":             {may: []string{"iofuncs", "iofuncs/conns", "data"}},
	"iofuncs/httpio": {
		may:   []string{"iofuncs", "iofuncs/conns", "iofuncs/egress", "iofuncs/httpcache", "data"},
		tests: []string{"iofuncs/conns/connstest", "iofuncs/egress/egresstest"},
	},

	"engine":            {may: []string{"data"}},
	"engine/abi":        {may: []string{"engine", "data"}},
	"engine/domain":     {},
	"engine/lines":      {tests: []string{"wasmengine/binary"}},
	"engine/slice":      {may: []string{"engine"}},
	"engine/enginetest": {may: []string{"engine", "data"}},
	"data":              {},

	"wasmengine": {
		may:   []string{"wasmengine/binary", "wasmengine/codecache", "wasmengine/compiler", "wasmengine/meter", "wasmengine/report", "engine", "engine/abi", "engine/domain", "engine/lines", "engine/slice", "data"},
		tests: []string{suite, "wasmengine/binary/binarytest"},
	},
	"wasmengine/codecache": {},
	"wasmengine/compiler": {
		may:   []string{"engine"},
		tests: []string{"wasmengine/binary/binarytest"},
	},
	"wasmengine/canon": {
		may:   []string{"wasmengine/binary"},
		tests: []string{"wasmengine/binary/binarytest"},
	},
	"wasmengine/meter": {
		may:   []string{"wasmengine/binary", "wasmengine/canon"},
		tests: []string{"wasmengine/binary/binarytest"},
	},
	"wasmengine/report": {
		may:   []string{"wasmengine/binary", "wasmengine/meter"},
		tests: []string{"wasmengine/binary/binarytest"},
	},
	"wasmengine/spectest":          {tests: []string{"wasmengine/binary", "wasmengine/meter"}},
	"wasmengine/binary":            {tests: []string{"wasmengine/binary/binarytest"}},
	"wasmengine/binary/binarytest": {may: []string{"wasmengine/binary"}},

	"chericapengine/a64": {may: []string{"chericapengine/capability"}},
	"chericapengine": {
		may:   []string{"chericapengine/a64", "chericapengine/capability", "chericapengine/loader", "engine", "engine/abi", "engine/domain", "engine/lines", "engine/slice", "data"},
		tests: []string{suite},
	},
	"chericapengine/capability": {},
	"chericapengine/loader":     {may: []string{"engine", "engine/abi", "engine/lines"}},

	"cases":      {may: []string{"engine", "data"}},
	"client":     {may: []string{"client/api", "internal/multiparts"}},
	"client/api": {},
	"sdk/c":      {tests: []string{"wasmengine", "engine", "data"}},
	"sdk/purify": {
		may:   []string{"wasmengine/binary", "engine/lines", "engine"},
		tests: []string{"wasmengine", "wasmengine/binary/binarytest", "data"},
	},

	"sdk":                {tests: []string{"sdk/purify", "sdk/toolchain", "wasmengine", "engine", "data"}},
	"sdk/rust":           {tests: []string{"sdk/purify", "wasmengine", "engine", "data"}},
	"sdk/toolchain":      {may: []string{"sdk/c", "sdk/rust", "sdk/go", "sdk/assemblyscript", "sdk/script", "sdk/purify", "wasmengine/binary", "engine", "internal/filelock", "internal/scratch"}},
	"sdk/assemblyscript": {},

	"samples":             {tests: []string{"cases", "chericapengine", "sdk/purify", "sdk/toolchain", "dispatcher", "registry", "wasmengine", "wasmengine/binary", "engine", "data"}},
	"samples/logserver":   {},
	"bench/loopback":      {may: []string{"bench/process", "bench/wire"}},
	"bench/process":       {},
	"bench/wire":          {},
	"docs":                {},
	"internal/contract":   {may: []string{"internal/multiparts"}},
	"internal/contexts":   {may: []string{"internal/filelock", "internal/wholefile"}},
	"internal/filelock":   {},
	"internal/hammer":     {tests: []string{"dispatcher", "dispatcher/memo", "registry", "iofuncs", "iofuncs/egress", "iofuncs/httpcache", "iofuncs/httpio", "wasmengine", "wasmengine/binary", "wasmengine/binary/binarytest", "engine", "data"}},
	"internal/imports":    {},
	"internal/progress":   {},
	"internal/scratch":    {},
	"internal/multiparts": {},
	"internal/suggest":    {},
	"internal/wholefile":  {},
	"internal/testreport": {},
}

// A dependency may be imported by the packages named, and by no other.
type dependency struct {
	only  []string // packages, or rooms with all that is in them: "server/..."
	tests bool     // also by the tests of every package
	why   string
}

// dependencies by the start of their import path. The standard library is
// free, but for what is listed.
var dependencies = map[string]dependency{
	"github.com/tetratelabs/wazero": {
		only: []string{"wasmengine/..."},
		why:  "only wasmengine may run a module, because only it sets every limit",
	},
	"github.com/labstack/echo/v4": {
		only: []string{"server", "bench/..."},
		why:  "echo is a detail of server; bench measures against it",
	},
	"go.etcd.io/bbolt": {
		only: []string{"registry"},
		why:  "bbolt is a detail of registry, so that another store can take its place",
	},
	"github.com/dgraph-io/ristretto/v2": {
		only: []string{"dispatcher/memo"},
		why:  "ristretto is a detail of the memo, which wraps what it leaves open",
	},
	"github.com/prometheus/client_golang": {
		only: []string{"cmd/...", "server", "dispatcher", "wasmengine", "internal/hammer", "samples"},
		why:  "the other packages have no metrics of their own",
	},
	"github.com/spf13": { // cobra, and pflag below it
		only: []string{"cmd/..."},
		why:  "flags are read in cmd and handed on as values",
	},
	"go.yaml.in/yaml/v3": {
		only:  []string{"cmd/pappus", "cmd/pappus/internal/settings", "internal/contexts", "internal/contract"},
		tests: true,
		why:   "YAML is the format of the files of users, of what -o yaml prints, and in tests of the API description",
	},
	"github.com/agnivade/levenshtein": {
		only: []string{"internal/suggest"},
		why:  "one package decides what a mistyped name means",
	},
	"github.com/oapi-codegen": {
		only: []string{"client/api"},
		why:  "generated requests need it; nothing else is to be written with it",
	},
	"github.com/getkin": {
		only: []string{"internal/contract"},
		why:  "kin-openapi is how tests hold traffic to the description",
	},
	"golang.org/x/sys": {
		only:  []string{"wasmengine/...", "engine/domain", "chericapengine", "dispatcher", "registry", "server", "cmd/...", "bench/..."},
		tests: true,
		why:   "system calls belong to memory, processors, files, processes and connections",
	},
	"golang.org/x/sync": {
		only:  []string{"cmd/...", "server", "dispatcher", "registry", "iofuncs/...", "wasmengine", "sdk/toolchain", "bench/..."},
		tests: true,
		why:   "the other packages start no goroutines",
	},
	"golang.org/x/time": {
		only: []string{"server", "dispatcher"},
		why:  "rates are limited where requests come in",
	},
	"golang.org/x/term": {
		only: []string{"cmd/..."},
		why:  "only the command line talks to a terminal",
	},
	"github.com/cenkalti/backoff": {
		only: []string{"iofuncs/httpio"},
		why:  "what may be tried again is known where the request is",
	},
	"gocloud.dev": {
		only: []string{"iofuncs/blobio"},
		why:  "buckets are reached by I/O functions only",
	},
	"github.com/aws": { // the SDK, and smithy below it
		only: []string{"iofuncs/blobio"},
		why:  "it knows credentials, which are for buckets only",
	},
	"github.com/johannesboyne/gofakes3": {tests: true, why: "it is a server of S3 in tests"},
	"net/http": {
		only:  []string{"cmd/...", "server/...", "client/...", "spans/...", "internal/contract", "iofuncs/...", "samples/logserver", "bench/..."},
		tests: true,
		why:   "HTTP ends at server; what lies inside speaks typed values and errors",
	},
	"github.com/creack/pty":             {tests: true, why: "it is a terminal in tests of the command line"},
	"github.com/cockroachdb/datadriven": {tests: true, why: "it reads the cases of the language"},
	"github.com/rogpeppe/go-internal/diff": {
		only: []string{"cmd/pappus"},
		why:  "differences are shown by the command line",
	},
	"github.com/fsnotify/fsnotify": {
		only: []string{"cmd/pappus"},
		why:  "files are watched by the command line",
	},
	"github.com/rogpeppe/go-internal": {tests: true, why: "it drives the command line in tests"},
	"go.uber.org/goleak":              {tests: true, why: "it finds goroutines that tests left over"},
	"pgregory.net/rapid": {
		only:  []string{"wasmengine/binary/binarytest"},
		tests: true,
		why:   "it makes the inputs of property tests",
	},
}

// meaningless package names say nothing about what the package owns.
var meaningless = []string{"utils", "util", "common", "helpers", "helper", "misc", "shared", "base", "lib"}
