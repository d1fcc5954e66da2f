# The one entry point. `make help` lists the targets; every step of CI is one of them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= dev
BIN := $(CURDIR)/bin
export PATH := $(BIN):$(PATH)
export CGO_ENABLED := 0
# With a correction of GoBGP, see tools/gobgp.sh.
MODFILE := -modfile=bin/gobgp.mod
# gRPC, which is part of GoBGP, links html/template for pages that nobody opens here. That calls methods
# by their names, so the linker would keep every method of everything: 21 MB more, most of them resident.
# tools/binaries.sh has the same tag.
GO_BUILD := go build -trimpath $(MODFILE) -tags grpcnotrace -ldflags '-s -w -X main.version=$(VERSION)'

# What a release is built for, and where its images are pushed.
PLATFORMS ?= linux/amd64 linux/arm64 linux/arm/v7 linux/ppc64le linux/s390x
REGISTRY ?=
DIST := $(CURDIR)/dist
comma := ,
space := $() $()
# The time in images and archives: that of the commit, so that it is the same wherever they are built.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
IMAGES = $(BIN)/images $(1) -version '$(VERSION)' -binaries $(DIST)/bin -notices $(DIST)/NOTICES.txt
# Where the plugin runs beside the nodes.
DESKTOPS ?= darwin/amd64 darwin/arm64 windows/amd64
list = $(subst $(space),$(comma),$(strip $(1)))
PROGRAMS := ./controller ./speaker ./kubectl-clarion
# What is linked differs by platform.
LINKED = $(call list,$(PLATFORMS))=$(call list,$(PROGRAMS)) $(call list,$(DESKTOPS))=./kubectl-clarion

# Any controller and speaker that speak the MetalLB API can be measured.
CONTROLLER ?= $(BIN)/controller
SPEAKER ?= $(BIN)/speaker

##@ Try it

.PHONY: demo
demo: build lab-bin deps ## Build everything and run the main job on a lab cluster, step by step
	$(BIN)/demo

.PHONY: lab-up
lab-up: build lab-bin deps ## Start a lab cluster with Clarion installed, for playing
	$(BIN)/demo -keep

.PHONY: lab-down
lab-down: lab-bin ## Stop the lab cluster of lab-up and leave nothing behind
	$(BIN)/lab down

##@ Build

.PHONY: gobgp
gobgp:
	@tools/gobgp.sh

.PHONY: build
build: gobgp ## Build controller, speaker, kubectl plugin, demo and bench into bin/
	@mkdir -p $(BIN)
	$(GO_BUILD) -o $(BIN)/ ./controller ./speaker ./kubectl-clarion ./demo ./bench

.PHONY: lab-bin
lab-bin: ## Build bin/lab, the lab cluster (minutes the first time: it holds a whole Kubernetes)
	@lab/build.sh $(BIN)/lab

.PHONY: helm-bin
helm-bin: ## Build bin/helm from Helm's Go module, for the tests that run its commands
	@mkdir -p $(BIN)
	@cd test/chart && go build -trimpath -o $(BIN)/helm helm.sh/helm/v3/cmd/helm

.PHONY: dns-bin
dns-bin: ## Build bin/coredns, the DNS of the lab's cluster, for the story that asks it
	@mkdir -p $(BIN)
	@cd test/dns && go build -trimpath -ldflags '-s -w' -o $(BIN)/coredns .

.PHONY: generate
generate: ## Regenerate CRDs and deep-copy code from api/, and the chart's copies of config/
	tools/generate.sh

.PHONY: deps
deps: ## Install the Debian packages that the lab and its tests use, where they are missing
	@lab/install-packages.sh

##@ Release (VERSION=v1.2.3; PLATFORMS= for fewer)

.PHONY: binaries
binaries: ## Build the static programs for all platforms into dist/bin/
	tools/binaries.sh '$(VERSION)' $(DIST)/bin $(PLATFORMS)

.PHONY: release-tools
release-tools:
	@mkdir -p $(BIN)
	@cd tools && go build -o $(BIN)/ ./images ./manifests ./chartfiles ./licenses

.PHONY: images
images: binaries licenses ## Pack them into multi-platform OCI images, as layouts and archives in dist/images/
	$(call IMAGES,build) -out $(DIST)/images -registry '$(REGISTRY)' -platforms $(call list,$(PLATFORMS)) \
		-revision '$(REVISION)' -created $(SOURCE_DATE_EPOCH)

.PHONY: images-push
images-push: images ## Push them: REGISTRY=registry.example.com/path
	$(call IMAGES,push) -out $(DIST)/images -registry '$(REGISTRY)'

.PHONY: release
release: images manifests ## Everything of a release in dist/: images; in dist/release archives, manifests, chart and their checksums
	tools/binaries.sh '$(VERSION)' $(DIST)/bin $(DESKTOPS)
	rm -rf $(DIST)/release
	$(MAKE) chart DIST=$(DIST)/release
	cp $(DIST)/manifests/*.yaml $(DIST)/release/
	$(call IMAGES,archive) -out $(DIST)/release -platforms $(call list,$(PLATFORMS) $(DESKTOPS)) -license LICENSE

.PHONY: chart
chart: ## Package the Helm chart into dist/
	@mkdir -p $(DIST)
	cd test/chart && go run ./package -version '$(VERSION)' -chart ../../charts/clarion -out $(abspath $(DIST))

.PHONY: manifests
manifests: release-tools ## Render the files that `kubectl apply -f` takes into dist/manifests/
	$(BIN)/manifests -out $(DIST)/manifests -version '$(VERSION)' -registry '$(REGISTRY)'

##@ Test

.PHONY: test
test: test-unit test-lab chart-test test-node ## Run all tests (root; installs what it needs)

.PHONY: test-unit
test-unit: deps gobgp ## Unit, property and wire tests of all modules, with the race detector
	CGO_ENABLED=1 go test -race $(MODFILE) -shuffle=on $$(go list ./... | grep -v /test/)
	go test ./internal/sim # with the race detector only a twentieth of its seeds is run
	cd lab && go test -trimpath ./internal/...
	cd tools && go test -count=1 ./... # they read what is outside of their module, of which the test cache knows nothing

.PHONY: test-lab
test-lab: build lab-bin helm-bin dns-bin deps ## The lab itself, CRDs, BGP against FRR, and the stories on a real cluster
	cd lab && go test -trimpath -tags lab -count=1 ./e2e/
	go test $(MODFILE) -count=1 -timeout 60m -v -p 1 $$(go list ./test/... | grep -v /test/node)

.PHONY: chart-test
chart-test: build manifests lab-bin deps ## Helm chart and manifests: lint, goldens, and install, upgrade and uninstall on a lab cluster
	cd test/chart && go test -count=1 -timeout 10m -v .

# A make of its own, because other targets want images and manifests elsewhere. It makes a whole
# release, though for one platform, so that this is tried before there is one.
.PHONY: test-node
test-node: lab-bin helm-bin deps ## A release, and its single-file install and chart on nodes with a real kubelet and containerd
	$(MAKE) release DIST=$(BIN)/node PLATFORMS=linux/$$(go env GOARCH) DESKTOPS=
	cd $(BIN)/node/release && sha256sum --check --quiet SHA256SUMS
	go test -count=1 -timeout 10m -v ./test/node

.PHONY: lint
lint: ## Static checks
	tools/lint.sh

.PHONY: licenses
licenses: release-tools ## Check the licences of everything that is linked, and collect their texts in dist/NOTICES.txt
	$(BIN)/licenses -notices $(DIST)/NOTICES.txt $(LINKED)

.PHONY: vulnerabilities
vulnerabilities: ## Look for known vulnerabilities in what is linked (needs a network that reaches vuln.go.dev)
	cd tools && go run golang.org/x/vuln/cmd/govulncheck -C .. $(PROGRAMS)

.PHONY: verify
verify: ## Fail when generated files or go.mod are not what generating them now gives
	tools/verify.sh $(LINKED)

##@ Measure (CONTROLLER= and SPEAKER= take any MetalLB-compatible binaries, BENCH_FLAGS= more flags)

# Runs of each fault of bench-l2: what figures that are compared need.
RUNS ?= 20
BENCH_FLAGS ?=
bench-l2: RUNS_FLAG := -runs $(RUNS)

.PHONY: bench-%
bench-%: build lab-bin deps ## Run one benchmark: alloc, bgp, l2, plan; table and bench/out/NAME.json
	$(BIN)/bench -controller $(CONTROLLER) -speaker $(SPEAKER) $(RUNS_FLAG) $(BENCH_FLAGS) $*

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z%_-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
