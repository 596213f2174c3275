# RDD: build, test, run. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell build/version)
DIST    := $(CURDIR)/dist
BIN     := $(DIST)/bin
LIBEXEC := $(DIST)/libexec/rdd
SHARE   := $(DIST)/share
LINTER  := $(DIST)/tools/golangci-lint/v2.15.0/golangci-lint
NFPM    := $(DIST)/tools/nfpm/v2.45.2/nfpm
DLV     := $(DIST)/tools/dlv/v1.27.2/dlv
WAILS   := $(DIST)/tools/wails/$(shell sed -n 's|^\tgithub.com/wailsapp/wails/v2 ||p' go.mod)/wails
GOARCH  := $(shell go env GOARCH 2>/dev/null)
GUESTARCH := $(if $(filter arm64,$(GOARCH)),aarch64,x86_64)

# All programs but the window are pure Go. -s -w omits what only a debugger needs.
export CGO_ENABLED := 0
# -trimpath is not used, because the tests would then compile everything a second time.
# grpcnotrace leaves out grpc's debug pages: their templates keep the linker from dropping
# unused methods, which costs rddd 21 MB on disk and 18 MiB of memory.
# The version of Kubernetes, which its API and kubectl report, is set here because its modules don't have it.
KUBE    := $(shell sed -n 's|^\tk8s.io/kubernetes v||p' go.mod)
KUBEVAR := -X k8s.io/component-base/version.git
KUBEVER := $(KUBEVAR)Version=v$(KUBE) $(KUBEVAR)Major=$(word 1,$(subst ., ,$(KUBE))) $(KUBEVAR)Minor=$(word 2,$(subst ., ,$(KUBE)))
comma   := ,
# `make build DEBUG=1` keeps the debug information, and doesn't optimise our own packages.
GOBUILD = go build -tags grpcnotrace $(if $(DEBUG),-gcflags 'rancherdesktop.io/rdd/...=-N -l') -ldflags '$(if $(DEBUG),,-s -w) -X main.version=$(VERSION) $(KUBEVER) $(BUILDVAR)'
# Recipes show what they build, and with V=1 how.
Q       := $(if $(V),,@)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
PROGRAMS := $(BIN)/rdd $(LIBEXEC)/rddd $(LIBEXEC)/rdd-lima $(LIBEXEC)/rdd-kubectl $(LIBEXEC)/rdd-tray $(LIBEXEC)/rdd-web

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup build guest ## install what is missing, build, start the App, run a container in it, open tray and window
	@command -v docker >/dev/null || $(MAKE) --no-print-directory tools
	@build/run $(DIST)

.PHONY: setup
setup: ## install the Debian packages that are missing (lists them first)
	@build/setup run

.PHONY: build
build: frontend ## build the programs into dist/
	@echo "building RDD $(VERSION) (the first time takes some 10 minutes on 2 cores)" >&2
	@$(MAKE) --no-print-directory $(PROGRAMS) $(LIBEXEC)/rdd-window $(SHARE)/lima $(GUESTPROGRAM)

# Phony, because Go itself finds out what is up to date.
.PHONY: $(PROGRAMS)
# rdd also has the commit and the time of the build, which SOURCE_DATE_EPOCH replaces for repeatable builds.
$(BIN)/rdd: BUILDVAR = -X main.commit=$(COMMIT) -X main.built=$(shell date -u $(if $(SOURCE_DATE_EPOCH),-d @$(SOURCE_DATE_EPOCH)) +%Y-%m-%dT%H:%M:%SZ)
$(LIBEXEC)/rdd-tray: export CGO_ENABLED := $(if $(filter Darwin,$(shell uname -s)),1,0)
$(PROGRAMS):
	@mkdir -p $(@D)
	@echo "  $(@F)" >&2
	$(Q)$(GOBUILD) -o $@ ./cmd/$(@F)

# The window is the only program that needs C. Without GTK and WebKit it is not built.
.PHONY: $(LIBEXEC)/rdd-window
$(LIBEXEC)/rdd-window:
	@if ! pkg-config --exists gtk+-3.0 webkit2gtk-4.1 2>/dev/null; then \
		echo "rdd-window is not built: libgtk-3-dev, libwebkit2gtk-4.1-dev or pkg-config is missing (make setup); rdd dashboard shows the same page" >&2; \
	else \
		echo "  $(@F)" >&2; $(if $(V),set -x;) CGO_ENABLED=1 $(subst -tags grpcnotrace,-tags grpcnotrace$(comma)desktop$(comma)production$(comma)webkit2_41,$(GOBUILD)) -o $@ .; \
	fi

.PHONY: frontend
frontend: ## build the page that the window and the browser show
	@build/page

# Lima's own templates, and its guest agent built for the guest. Go modules omit symbolic links: LIMALINKS are those of
# Lima's repository.
LIMALINKS := ubuntu-lts=ubuntu-24.04 ubuntu=ubuntu-25.04 fedora=fedora-42
.PHONY: $(SHARE)/lima
$(SHARE)/lima:
	@mkdir -p $@
	@cp -r --no-preserve=mode "$$(go list -m -f '{{.Dir}}' github.com/lima-vm/lima)/templates" $@/
	@cd $@/templates/_images && for alias in $(LIMALINKS); do cp "$${alias#*=}.yaml" "$${alias%=*}.yaml"; done
	@echo "  lima-guestagent" >&2
	$(Q)GOOS=linux $(GOBUILD) -o $@/lima-guestagent.Linux-$(GUESTARCH) github.com/lima-vm/lima/cmd/lima-guestagent

# The program that the hostagent runs in guests.
GUESTPROGRAM := $(SHARE)/rdd/rdd-guest.Linux-$(GUESTARCH)
.PHONY: $(GUESTPROGRAM)
$(GUESTPROGRAM):
	@mkdir -p $(@D)
	@echo "  $(@F)" >&2
	$(Q)GOOS=linux $(GOBUILD) -o $@ ./cmd/rdd-guest

.PHONY: tools
tools: ## build docker, with buildx and compose, which the packages contain
	@echo "building docker, buildx and compose (the first time takes some 3 minutes on 2 cores)" >&2
	@build/tools/build $(LIBEXEC)

.PHONY: guest
guest: ## build the guest image (cached)
	@build/guest/build $(SHARE)/rdd/guest

.PHONY: dev
dev: build $(WAILS) ## show the window (without a display: the page) with live reload, over a service of its own
	@build/dev $(DIST) $(WAILS)

.PHONY: debug
debug: $(BIN)/rdd $(DLV) ## build rddd for a debugger, restart the service with it, and attach dlv
	@$(MAKE) --no-print-directory DEBUG=1 $(LIBEXEC)/rddd
	$(BIN)/rdd svc restart
	$(DLV) attach $$($(BIN)/rdd svc status -o json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')

$(DLV):
	GOBIN=$(@D) go install github.com/go-delve/delve/cmd/dlv@$(notdir $(@D))

# The CLI of the same version as the library. `wails build` builds only the window; `make build` builds the rest.
$(WAILS):
	GOBIN=$(@D) go install github.com/wailsapp/wails/v2/cmd/wails@$(notdir $(@D))

# golangci-lint also checks formats and runs vet.
.PHONY: check
check: $(LINTER) ## check formats, vet, lint, and run the short tests: some minutes, before each commit
	@build/page check
	@$(LINTER) run
	go test -short -tags grpcnotrace ./...

.PHONY: test
# Without debug information the tests link in two thirds of the time. More tests run in parallel than there are processors, because
# those that run real programs mostly wait.
test: ## the whole test suite, with its own set-up
	@build/setup test
	@$(MAKE) --no-print-directory verify package $(WAILS)
	@build/page test
	RDD_TEST_REQUIRE=1 go test -tags grpcnotrace -ldflags=-w -timeout 80m -parallel 4 ./...

.PHONY: package
package: build tools guest $(NFPM) ## make the Debian and RPM packages, into dist/package/
	@build/package/build $(VERSION) $(NFPM)

$(NFPM):
	GOBIN=$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(notdir $(@D))

.PHONY: bench
bench: build guest stock-guest ## measure and print one table (docs/bench.md); ARGS='--only ^api' for a part
	@go run ./build/bench --dist $(DIST) $(ARGS)

.PHONY: screenshots
screenshots: build ## make pictures of every page, dialog and of the tray, into dist/screenshots/
	@build/setup test
	@build/screenshots

.PHONY: lint
lint: $(LINTER) ## check the code with golangci-lint
	@$(LINTER) run

$(LINTER):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(notdir $(@D))

.PHONY: generate
generate: ## write what is generated: deep copies, CRDs, icons, docs/cli, the list of linked modules, the page's types
	@go generate ./internal/api
	@go run ./build/icons app/tray/icons app/window/icon.png
	@go run ./build/clidocs docs/cli
	@build/linked-modules >build/linked-modules.txt
	@go run ./build/pageapi frontend/src/lib/api.ts

.PHONY: verify
verify: ## check that generated files are fresh, go.mod is tidy and Go is formatted
	@build/verify

# Without optimisation and DWARF this takes half the time; the programs are never run. (Linking takes 2 s per program;
# compiling Kubernetes for each platform, with an empty cache, takes minutes.)
CROSS := go build -tags grpcnotrace -gcflags 'all=-N -l -dwarf=false' -ldflags '-s -w' -o $(DIST)/cross/

.PHONY: cross
cross: ## compile and link for the other platforms, without keeping the programs
	GOOS=linux GOARCH=arm64 $(CROSS) ./cmd/rdd ./cmd/rddd ./cmd/rdd-lima ./cmd/rdd-guest ./cmd/rdd-tray ./cmd/rdd-web
	GOOS=windows GOARCH=amd64 $(CROSS) ./cmd/rdd ./cmd/rddd ./cmd/rdd-lima ./cmd/rdd-tray ./cmd/rdd-web
	GOOS=darwin GOARCH=arm64 $(CROSS) ./cmd/rdd ./cmd/rddd ./cmd/rdd-web
	@rm -rf $(DIST)/cross

# The guest with which the bench compares ours.
.PHONY: stock-guest
stock-guest:
	@build/guest/stock/build $(SHARE)/rdd/guest-stock

.PHONY: clean
clean: ## remove dist/
	rm -rf $(DIST)
