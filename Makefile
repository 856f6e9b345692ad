# Everything a person types. `make` alone prints this help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help install demo test check fix generate check-generated e2e bench bench-scale fuzz bundle images kube-up kube-down node-up node-down clean

help: ## Print this help
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: node_modules/.installed ## Install what the project needs (npm packages, Node 24 among them)

# npm of any Node >= 20 installs; everything after it runs on the Node 24 that it brought.
node_modules/.installed: package.json package-lock.json $(wildcard packages/*/package.json images/*/package.json client/package.json operator/package.json)
	@command -v npm >/dev/null || { echo "make: npm is missing: install Node.js 20 or newer (https://nodejs.org)" >&2; exit 1; }
	@echo "installing npm packages"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: install ## See it all on loopback: refused, granted, reached, cut (ONCE=1 exits after the steps)
	@node hack/demo/main.ts $(if $(ONCE),--once)

test: install ## Run everything that CI runs (ONLY=tests/kube: that alone)
	@node hack/test.ts $(ONLY)

e2e: install ## Run the tests that need a cluster, on a node or with KIND=1 on kind (ONLY=tests/cluster/image.test.ts, NODES=2, KEEP=1)
	@node hack/e2e.ts $(ONLY)

check: install ## Types, lint and formatting
	@biome check --error-on-warnings . && tsc

fix: install ## Apply formatting and safe lint fixes
	@biome check --write .

generate: install ## Write the CRDs, reference docs and OpenAPI from the schemas
	@node hack/generate.ts

check-generated: install ## Fail when a generated file is stale
	@node hack/generate.ts --check

bench: install ## Measure against stunnel and haproxy in the same run
	@node tests/bench/main.ts

bench-scale: install ## 5 000 Resources from cold on a real API server: time, memory, one edit
	@SCALE=5000,200,20 vitest run tests/kube/scale.test.ts

fuzz: install ## Fuzz the parsers and the session state machine (SECONDS_EACH=60)
	@node hack/fuzz.ts

bundle: install ## Bundle each process, and the sallyport command, into one file (dist/)
	@node hack/bundle.ts

images: bundle ## Build the images, with Docker where it runs, else with buildah as root (BASE, TAG)
	@hack/images

kube-up: ## Start a real Kubernetes control plane on loopback
	@hack/kube/up --control-plane-only

kube-down: ## End it
	@hack/kube/down

node-up: ## Start a real Kubernetes node, as root; hack/kube/exec runs commands beside it (NODES=2)
	@hack/kube/up --nodes $(or $(NODES),1)

node-down: ## End it
	@hack/kube/down

clean: ## Remove what was installed and built here
	rm -rf dist node_modules */node_modules packages/*/node_modules images/*/node_modules
