# Everything a contributor runs. `make` lists the targets.

SHELL := bash
TOOL  := go tool -modfile=$(CURDIR)/tools/go.mod
MODS  := $(shell git ls-files '*go.mod')
SEED  ?=
MINUTES ?= 5
TIME  ?= 30s
PKG   ?= ./...
BENCH ?= .

.PHONY: help check fmt vet staticcheck test race sim torture fuzz bench vuln cross cover ci

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

check: fmt vet staticcheck test ## gofmt, vet, staticcheck, and the tests of every module

fmt: ## complain about files that gofmt would change
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt -w these:"; echo "$$out"; exit 1; fi

vet: ## go vet in every module
	@.ci/each go vet ./...

staticcheck: ## staticcheck in every module
	@.ci/each $(TOOL) staticcheck ./...

test: ## go test in every module
	@.ci/each go test ./...

race: ## go test -race
	go test -race ./...

sim: ## seeded simulations and models, MINUTES of a farm's time each (default 5); SEED=n repeats one run
	WEBFARM_SEED=$(SEED) WEBFARM_MINUTES=$(MINUTES) go test -count=1 -timeout 24h -run '^TestSimulation' $(PKG)
	go test -count=1 -run '^TestModel$$' ./session/internal/state -seed=$(or $(SEED),0)

torture: ## what the tests do, for longer: simulations of MINUTES each, real time beside fake time; PKG narrows it down
	WEBFARM_TORTURE=1 WEBFARM_SEED=$(SEED) WEBFARM_MINUTES=$(MINUTES) go test -count=1 -timeout 24h $(PKG)

fuzz: ## every fuzz target in turn, TIME each (default 30s); PKG=./session for one package
	@.ci/fuzz $(TIME) $(PKG)

bench: ## benchmarks with allocations; PKG and BENCH narrow them down
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

vuln: ## known vulnerabilities of what we depend on; needs the network
	@.ci/each $(TOOL) govulncheck ./...

cross: ## check types for the other systems; vet and link for Windows
	@.ci/cross vet

ci: ## all that must pass before a change lands; its logs are in .ci/out
	@.ci/run

cover: ## coverage of all packages, as a page in coverage.html
	go test -coverpkg=./... -coverprofile=coverage.out ./... && go tool cover -html=coverage.out -o coverage.html
