# What can be done here: make help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT := bin/golangci-lint
K6 := bin/k6
WATCHDOG := 0.10.7
BENCHSTAT := bin/benchstat
REPORT := bin/testreport
OAPI := bin/oapi-codegen
ASC := .cache/assemblyscript/node_modules/.bin/asc
SPECTRAL := .cache/openapi-lint/node_modules/.bin/spectral
QEMU := qemu-aarch64-static

# How often registry and cmd kill a process that is writing; how many goroutines
# call how many functions of a dispatcher that has room for a few; how long all
# fuzz targets together run; how long one package's tests may take.
KILL_ROUNDS ?= 10
HAMMER ?= 8x40
FUZZ_SECONDS ?= 30
TEST_TIMEOUT ?= 20m
# Tests wait as much as they compute: one package more than there are processors at a time.
AT_ONCE ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
export PAPPUS_KILL_ROUNDS = $(KILL_ROUNDS)
export PAPPUS_HAMMER = $(HAMMER)

# The packages that share memory between goroutines run a second time under
# the race detector: those that import sync, sync/atomic or errgroup, and the
# hammer, which has them all share. The command's tests are of processes, which
# take minutes under it: the long run has them.
RACE_PACKAGES = $$($(GO) list -f '{{range .Imports}}{{if or (eq . "sync") (eq . "sync/atomic") (eq . "golang.org/x/sync/errgroup")}}{{$$.ImportPath}}{{"\n"}}{{end}}{{end}}' ./... | grep -v 'cmd/pappus$$' | sort -u)

# What runs once more with the invariants tag: the memory that functions run in, and the
# engine that is built on it, but for its tests of what compiling costs.
INVARIANTS = -tags invariants -skip '^Test(Class|CompileBombs|Size)$$' ./engine/domain ./wasmengine

# The packages with Go benchmarks: each benchmark runs once with the tests.
BENCHMARKED = $$(grep -l --include='*_test.go' -r '^func Benchmark' . | grep -v '^./bench/' | xargs -n1 dirname | sort -u)

# Those of other modules: make test names them.
.PHONY: benchmarked
benchmarked:
	@printf '%s\n' $(BENCHMARKED)

##@ Build

.PHONY: build
build: ## Build bin/pappus
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/pappus ./cmd/pappus

.PHONY: generate
generate: $(OAPI) ## Regenerate what is made from sources (go generate)
	$(GO) generate ./...

# What is generated from the API description is in the repository; this says when it is stale.
.PHONY: generated
generated: $(OAPI)
	@mkdir -p .cache; for dir in client/api server/api; do \
		(cd $$dir && ../../$(OAPI) -config oapi-codegen.yaml -o ../../.cache/api.gen.go ../../server/openapi.yaml); \
		cmp -s .cache/api.gen.go $$dir/api.gen.go || { echo "make: $$dir/api.gen.go is not what server/openapi.yaml gives: run make generate" >&2; exit 1; }; \
	done

.PHONY: viewer
viewer: ## Take the files of /docs out of their npm package again (server/viewer/VERSION)
	server/viewer/update

.PHONY: samples
samples: ## Rebuild the samples' .wasm and .elf files (needs clang and lld for wasm32, and gcc for aarch64)
	$(MAKE) -C samples all native
	$(MAKE) -C samples/libc

.PHONY: adapter
adapter: ## Rebuild what purify puts into programs, and what its tests call (needs clang and lld for wasm32)
	$(MAKE) -C sdk/purify/adapter
	$(MAKE) -C sdk/purify/testdata

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin .cache

##@ Try

.PHONY: demo
demo: build ## Start a server, upload the samples, run them on real input (KEEP=1: leave it running)
	$(GO) build -trimpath -o bin/logserver ./samples/logserver
	./samples/demo.sh

##@ Check

# The last line is "N passed, M failed". With the invariants tag every region of memory
# that comes back is scanned for bytes that are not zero.
.PHONY: test
test: prerequisites generated vet lint $(ASC) $(REPORT) ## Everything that must pass: vet, lint, tests, race detector, 30 s of fuzz
	@status=0; { \
	$(GO) test -json -p $(AT_ONCE) -timeout $(TEST_TIMEOUT) ./... || status=1; \
	$(GO) test -json -timeout $(TEST_TIMEOUT) $(INVARIANTS) || status=1; \
	$(GO) test -json -p $(AT_ONCE) -timeout $(TEST_TIMEOUT) -race $(RACE_PACKAGES) ./internal/hammer || status=1; \
	(cd internal/browser && $(GO) test -json -count=1 -timeout $(TEST_TIMEOUT) .) || status=1; \
	(cd sdk/go && $(GO) test -json -timeout $(TEST_TIMEOUT) ./...) || status=1; \
	(cd sdk/script && $(GO) test -json -timeout $(TEST_TIMEOUT) ./...) || status=1; \
	(cd samples/go && $(GO) test -json -timeout $(TEST_TIMEOUT) ./...) || status=1; \
	(cd bench/lab && $(GO) test -json -timeout $(TEST_TIMEOUT) ./...) || status=1; \
	(cd bench/peers && $(GO) test -json -timeout $(TEST_TIMEOUT) -run '^$$' -bench . -benchtime 1x .) || status=1; \
	$(GO) test -json -timeout $(TEST_TIMEOUT) -short -run '^$$' -bench . -benchtime 1x $(BENCHMARKED) || status=1; \
	./tools/fuzz $(FUZZ_SECONDS) || status=1; \
	exit $$status; } | $(REPORT)

# The same at the length that finds rare faults, with what the tests log.
.PHONY: soak
soak: KILL_ROUNDS = 200
soak: HAMMER = 64x1000
soak: FUZZ_SECONDS = 1200
soak: export PAPPUS_SPEC = all
soak: export PAPPUS_BODIES = all
soak: export PAPPUS_A64_ROUNDS = 1000
soak: prerequisites $(REPORT) ## The long run: 200 kill rounds, 64 goroutines on 1,000 functions, 20 min of fuzz, all under the race detector
	@status=0; { \
	$(GO) test -json -count=1 -timeout 60m ./... || status=1; \
	$(GO) test -json -count=1 -timeout 60m $(INVARIANTS) || status=1; \
	$(GO) test -json -count=1 -timeout 60m -race ./... || status=1; \
	$(GO) test -json -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x $(BENCHMARKED) || status=1; \
	./tools/fuzz $(FUZZ_SECONDS) || status=1; \
	exit $$status; } | $(REPORT) -v

# Results, fuel and faults must be those of amd64. An emulated processor is slow, so these are
# the tests of what the code does, and not those of processes and time.
.PHONY: arm64
arm64: emulator $(REPORT) ## The tests of determinism on an emulated arm64 (needs qemu-user-static)
	@status=0; { \
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -json -count=1 -timeout 30m -exec $(QEMU) ./wasmengine/canon ./wasmengine/meter ./chericapengine ./chericapengine/a64 ./chericapengine/capability ./chericapengine/loader ./samples || status=1; \
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -json -count=1 -timeout 30m -exec $(QEMU) -run '^(TestConformance|TestNaNs)$$/^(defaults|images|no_images)$$' ./wasmengine || status=1; \
	exit $$status; } | $(REPORT)

.PHONY: emulator
emulator:
	@if command -v $(QEMU) >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -q -y --no-install-recommends qemu-user-static; \
	else \
		echo 'make: running arm64 code needs $(QEMU): install qemu-user-static' >&2; exit 1; \
	fi

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: lint
lint: $(LINT) $(SPECTRAL) ## Lint code and check its format (.golangci.yml); lint the API description
	$(LINT) run ./...
	cd internal/browser && ../../$(LINT) run ./...
	cd sdk/go && ../../$(LINT) run ./... && GOOS=wasip1 GOARCH=wasm $(GO) vet ./...
	cd sdk/script && ../../$(LINT) run ./...
	cd samples/go && ../../$(LINT) run ./...
	cd bench/lab && ../../$(LINT) run ./...
	$(SPECTRAL) lint --quiet --fail-severity hint --ruleset tools/openapi-lint/spectral.yaml server/openapi.yaml

.PHONY: fuzz
fuzz: $(REPORT) ## Fuzz every target, FUZZ_SECONDS in all
	@./tools/fuzz $(FUZZ_SECONDS) | $(REPORT)

# The race detector needs a C compiler, the tests of functions in C one for wasm32,
# those in Rust Debian's compiler, native ones a compiler for arm64 and an emulator to compare
# with, the documents' commands curl, and the tests of pages a browser; all else comes with Go.
.PHONY: prerequisites
prerequisites:
	@missing=; \
	if [ "$$($(GO) env CGO_ENABLED)" != 1 ] || ! command -v "$$($(GO) env CC)" >/dev/null; then missing+=' gcc libc6-dev'; fi; \
	for tool in curl chromium clang; do command -v $$tool >/dev/null || missing+=" $$tool"; done; \
	command -v wasm-ld >/dev/null || missing+=' lld'; \
	[ -e /usr/lib/rustlib/wasm32-unknown-unknown ] || missing+=' rustc libstd-rust-dev-wasm32'; \
	[ -e /usr/lib/wasm32-wasi/libc.a ] || missing+=' wasi-libc libclang-rt-14-dev-wasm32'; \
	[ -e /usr/lib/wasm32-wasi/libc++.a ] || missing+=' libc++-14-dev-wasm32 libc++abi-14-dev-wasm32'; \
	command -v aarch64-linux-gnu-gcc >/dev/null || missing+=' gcc-aarch64-linux-gnu'; \
	command -v $(QEMU) >/dev/null || missing+=' qemu-user-static'; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "make: the tests need$$missing: install the packages" >&2; exit 1; \
	fi

.PHONY: node
node:
	@if command -v node >/dev/null && command -v npm >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -q -y --no-install-recommends nodejs npm; \
	else \
		echo 'make: linting the API description needs Node.js 18 or later: install nodejs and npm' >&2; exit 1; \
	fi

##@ Measure

# bench/README.md says what each of these measures. Results go to RESULTS, a
# folder for each run, which is there when the run is complete.
RESULTS ?= bench/results
.PHONY: bench
bench: build bin/lab ## The paper's experiments, scales and density, with a report (10 min; bench/README.md)
	bin/lab run -set pappus -pappus bin/pappus -out $(RESULTS) -command 'make bench'

# The peer of-watchdog is left out where its module can't be fetched. DANDELION is a
# folder with the sources of the paper's prototype.
.PHONY: bench-peers
bench-peers: build bin/lab ## The same work by processes, wasmtime, V8 and others, side by side, with a report
	@mkdir -p .cache; [ -x bin/of-watchdog ] || GOBIN=$(CURDIR)/bin $(GO) install github.com/openfaas/of-watchdog@$(WATCHDOG) 2>.cache/of-watchdog.log || true
	bin/lab run -set peers -pappus bin/pappus -out $(RESULTS) $$([ -x bin/of-watchdog ] && echo -watchdog bin/of-watchdog || echo -watchdog-log .cache/of-watchdog.log) $(if $(DANDELION),-dandelion '$(DANDELION)') -command 'make bench-peers$(if $(DANDELION), DANDELION=…)'

.PHONY: bench-report
bench-report: bin/lab ## Make the reports again from their results, and README.md's summaries from the newest
	$(if $(wildcard bench/results/*/results.json),bin/lab report $(dir $(wildcard bench/results/*/results.json)))
	bin/lab readme

# BENCH selects the Go benchmarks of the packages BENCH_PACKAGES; ROUNDS and TIME say how
# often and for how long they run.
BENCH ?= ^Benchmark(Call|Run)
BENCH_PACKAGES ?= ./wasmengine ./dispatcher
.PHONY: bench-compare
bench-compare: $(BENCHSTAT) ## Go benchmarks of this checkout against those of the commit BASE, by benchstat
	@BENCH='$(BENCH)' ROUNDS='$(ROUNDS)' TIME='$(TIME)' ./tools/benchcompare '$(BASE)' $(BENCH_PACKAGES)

# wasmtime's library in bench/peers needs cgo; where there is none, it is left out.
# 10,000 functions take some minutes to register; FUNCTIONS says how many.
FUNCTIONS ?= 10000
.PHONY: bench-engine
bench-engine: build bin/loopback $(BENCHSTAT) ## All figures of the engine: isolates, images, metering, its peers, calls over HTTP, many functions
	@mkdir -p .cache
	$(GO) test -run '^$$' -bench . -benchtime 200ms -count 6 ./wasmengine >.cache/bench-engine.txt
	$(BENCHSTAT) .cache/bench-engine.txt
	$(GO) test -run '^$$' -bench 'Kernels|CanonicalNaNs' -benchtime 100x ./wasmengine/meter
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ]; then cd bench/peers && $(GO) test -run '^$$' -bench . -benchtime 200ms -count 6 . >../../.cache/bench-peers.txt && ../../$(BENCHSTAT) ../../.cache/bench-peers.txt; fi
	bin/loopback -pappus bin/pappus
	bin/loopback functions -pappus bin/pappus -n $(FUNCTIONS)

# Some minutes; compiling the interpreter of JavaScript is most of it.
.PHONY: bench-languages
bench-languages: $(ASC) build bin/lab ## Size of a function in each language, and a call of it with and without image, with a report
	bin/lab run -set languages -pappus bin/pappus -out $(RESULTS) -command 'make bench-languages'

comma := ,
space := $(subst ,, )
.PHONY: k6
k6: build $(K6) ## Load test with k6 against a server of its own (RATE, DURATION; bench/k6/README.md)
	./bench/k6/run.sh smoke hot

.PHONY: bench-k6
bench-k6: build $(K6) bin/lab ## All of k6's scripts but the soak (SCRIPTS names others), with a report
	bin/lab run -set k6 $(if $(SCRIPTS),-only $(subst $(space),$(comma),$(strip $(SCRIPTS)))) -pappus bin/pappus -out $(RESULTS) -command 'make bench-k6$(if $(SCRIPTS), SCRIPTS="$(strip $(SCRIPTS))")'

# The tools are pinned by modules of their own: the product depends on none of them.

$(LINT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The linter of the API description is an npm package.
$(SPECTRAL): tools/openapi-lint/package.json tools/openapi-lint/package-lock.json tools/openapi-lint/.npmrc | node
	@mkdir -p .cache/openapi-lint && cp $^ .cache/openapi-lint
	cd .cache/openapi-lint && npm ci --no-progress && touch node_modules/.bin/spectral

# So is the compiler of AssemblyScript.
.PHONY: assemblyscript
assemblyscript: $(ASC)
$(ASC): sdk/assemblyscript/package.json sdk/assemblyscript/package-lock.json sdk/assemblyscript/.npmrc | node
	@mkdir -p .cache/assemblyscript && cp $^ .cache/assemblyscript
	cd .cache/assemblyscript && npm ci --no-progress && touch node_modules/.bin/asc

$(BENCHSTAT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$@ golang.org/x/perf/cmd/benchstat

$(OAPI): tools/openapi/go.mod tools/openapi/go.sum
	cd tools/openapi && $(GO) build -o ../../$@ github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen

$(K6): tools/k6/go.mod tools/k6/go.sum
	cd tools/k6 && $(GO) build -o ../../$@ go.k6.io/k6

$(REPORT): $(wildcard internal/testreport/*.go)
	$(GO) build -o $@ ./internal/testreport

bin/loopback: $(wildcard bench/loopback/*.go bench/process/*.go bench/wire/*.go) go.sum
	$(GO) build -o $@ ./bench/loopback

bin/lab: $(wildcard bench/lab/*.go bench/lab/*/*.go bench/lab/native/*.h bench/process/*.go bench/wire/*.go samples/matmul/multiply.h) bench/lab/go.sum
	cd bench/lab && $(GO) build -o ../../$@ .

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
