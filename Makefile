# hookstream: everything a developer runs. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO ?= go
BIN := bin/hookstream
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
KAFKATEST := github.com/hookstream/hookstream/internal/kafkatest
# A test binary that hangs is a failure, not a reason to wait.
TEST_TIMEOUT ?= 15m
# -race for the suites against a real Kafka.
RACE ?=
# How long `make fuzz` spends on each target.
FUZZTIME ?= 30s
# What `make run` and `make torture` pass on, for example ARGS=--listen=127.0.0.1:9000.
ARGS ?=

# $(call need,tool,what for and how to get it): one clear line for what is missing.
need = @command -v $(1) >/dev/null || { echo "missing: $(1), $(2)" >&2; exit 1; }

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, then start everything with sample tenants, endpoints and events
	exec $(BIN) dev --demo $(ARGS)

.PHONY: build
build: engine ## make bin/hookstream and get the embedded ClickHouse engine
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/hookstream

.PHONY: engine
engine: need-go need-npm ## get the embedded ClickHouse engine into the cache folder, once
	@$(GO) run ./cmd/hookstream fetch-engine

.PHONY: test
test: engine ## all tests, with the embedded Kafka and the ClickHouse engine
	$(GO) test -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-race
test-race: engine need-cc ## all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout $(TEST_TIMEOUT) $$($(GO) list ./... | grep -v /torture$$) # which only drives processes

# The suites that start their cluster through internal/kafkatest take a real
# broker as well as the embedded one.
.PHONY: test-kafka
test-kafka: engine need-java need-mvn ## the suites that use Kafka, against a real Kafka
	@packages=$$($(GO) list -f '{{$$p := .ImportPath}}{{range .TestImports}}{{if eq . "$(KAFKATEST)"}}{{$$p}} {{end}}{{end}}{{range .XTestImports}}{{if eq . "$(KAFKATEST)"}}{{$$p}} {{end}}{{end}}' ./... | xargs -n1 | sort -u); \
	[ -n "$$packages" ] || { echo "no package uses $(KAFKATEST)" >&2; exit 1; }; \
	echo $$packages; \
	$(GO) run ./internal/devstack/realkafka -- $(GO) test $(RACE) -count=1 -p 1 -timeout $(TEST_TIMEOUT) $$packages

# Small inputs are found soon; making them smaller still costs more than it gives.
.PHONY: fuzz
fuzz: need-go ## fuzz every parser that meets the outside, FUZZTIME for each
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(cat $$dir/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p'); do \
	    echo "$$dir $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 1 $$dir; \
	  done; \
	done

# The examples are a module of their own, so that what they need does not
# become what hookstream needs.
.PHONY: test-examples
test-examples: need-go ## the tests of the programs in examples/
	cd examples && $(GO) test $(RACE) -timeout $(TEST_TIMEOUT) ./...

.PHONY: example-aiinterview
example-aiinterview: need-go ## a hookstream, a signed interview webhook, and the job that stores it and tells a channel
	cd examples && $(GO) run ./aiinterview --demo

.PHONY: example-smartcv
example-smartcv: need-go ## a hookstream, signed resume webhooks, and the job that handles them
	cd examples && $(GO) run ./smartcv --demo

.PHONY: torture
torture: build need-java need-mvn ## kill, freeze and cut off everything at random, and count what was lost; ARGS=--kills=20
	$(GO) run ./torture $(ARGS)

.PHONY: lint
lint: need-go fmt vet ## formatting, vet and staticcheck
	$(GO) run $(STATICCHECK) ./...
	cd examples && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...

.PHONY: fmt
fmt: need-gofmt need-git
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 -r gofmt -l); \
	[ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; }

.PHONY: vet
vet: need-go
	$(GO) vet ./...

.PHONY: clean
clean: ## remove what was built; data and the engine's cache stay
	rm -rf bin

.PHONY: need-go need-gofmt need-git need-npm need-cc need-java need-mvn
need-go:
	$(call need,$(GO),version 1.26 or newer: get it from go.dev/dl)
need-gofmt:
	$(call need,gofmt,it comes with Go: put the bin folder of the Go installation on the PATH)
need-git:
	$(call need,git,to list the files of the repository)
need-npm:
	$(call need,npm,to get the ClickHouse engine: it comes with Node.js)
need-cc:
	@command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null || { echo "missing: a C compiler, for the race detector: install gcc or clang" >&2; exit 1; }
need-java:
	$(call need,java,version 17 or newer to run a real Kafka)
need-mvn:
	$(call need,mvn,to get the jars of a real Kafka: install Maven)
