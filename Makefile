# `make` lists the targets. Every step of `make test` can be run alone.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# One build serves `make dev`, the tests and the OpenAPI check: the dev profile. It optimises dependencies a little
# and skips link-time optimisation, so a first build takes a fraction of a release build's time, and a laptop's calls
# do not notice the difference. What is measured (`bench`, `load`) and shipped (`Dockerfile`) is built for release.
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
# Where tests/setup.sh puts what the tests need.
CACHE := $(or $(LEVEE_CACHE),$(HOME)/.cache/levee)
VENV := $(or $(LEVEE_TEST_VENV),$(CACHE)/venv)
LEVEE := $(CARGO_TARGET_DIR)/debug/levee
# A private PostgreSQL and a private Redis for as long as a command runs.
WITH_SERVERS := tests/with-servers.sh
# nextest where it is installed: every test in a process of its own, with a time limit.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
# Python with what the chart's checks need, and where they find the rest.
CHART_PYTHON := PYTHONDONTWRITEBYTECODE=1 PATH="$(VENV)/bin:$$PATH" LEVEE_CHART_TOOLS="$(CACHE)/chart" LEVEE_BIN="$(LEVEE)" \
	$(CACHE)/chart/venv/bin/python
STEPS := setup fmt-check lint docs openapi chart loom unit it dashboards clients fuzz

.PHONY: help dev build test $(STEPS) fmt update bench load clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/' | expand -t 12

dev: ## Build and run Levee with everything embedded (ARGS="--listen 127.0.0.1:9000" and the like)
	@exec cargo run --locked -- dev $(ARGS)

test: ## Install what the tests need, then run every check, saying how long each took
	@for step in $(STEPS); do \
		start=$$(date +%s); echo "── $$step"; \
		$(MAKE) --no-print-directory $$step || { echo "── $$step failed after $$(( $$(date +%s) - start )) s"; exit 1; }; \
		echo "── $$step took $$(( $$(date +%s) - start )) s"; \
	done

setup: ## Install what the tests need (as root; else print the one command that would)
	@tests/setup.sh

build: ## Build
	@cargo build --locked

fmt: ## Format the code
	@cargo fmt

fmt-check: ## Check the format
	@cargo fmt --check

lint: ## Clippy, warnings are errors
	@cargo clippy --locked --all-targets -- -D warnings

docs: ## Build the documentation, warnings are errors
	@RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

openapi: build ## Check that openapi/ holds the document the code makes, and lint it
	@for format in json yaml; do \
		$(LEVEE) openapi --format $$format | diff -u openapi/levee.$$format - \
			|| { echo "openapi/levee.$$format is out of date: run make update"; exit 1; }; \
	done
	@PATH="$(VENV)/bin:$$PATH" OPENAPI_TOOLS_DIR="$(CACHE)/openapi-tools" tests/openapi/check.sh

chart: build ## Check the Helm chart by everybody's schemas and our own rules, and run what its pods describe
	@$(WITH_SERVERS) env $(CHART_PYTHON) -m pytest -q -p no:cacheprovider tests/chart

loom: ## Model-check the breaker's admission
	@cargo test --locked --release --manifest-path tests/loom/Cargo.toml

unit: ## Unit tests
ifeq ($(NEXTEST),yes)
	@$(WITH_SERVERS) cargo nextest run --locked --lib --bins --no-tests=pass
else
	@$(WITH_SERVERS) cargo test --locked --lib --bins
endif

it: ## Integration tests, over the real binary
ifeq ($(NEXTEST),yes)
	@$(WITH_SERVERS) cargo nextest run --locked --test it
else
	@$(WITH_SERVERS) cargo test --locked --test it
endif

dashboards: build ## Dashboards, alerts and metrics, against a Prometheus that scrapes a live Levee (PICTURES=DIR draws them)
	@$(WITH_SERVERS) $(VENV)/bin/python tests/dashboards/check.py $(LEVEE) $(if $(PICTURES),--pictures $(PICTURES))

clients: build ## Clients generated from the document, each run against a live Levee (LANGUAGES="rust" for one)
	@PATH="$(VENV)/bin:$$PATH" LEVEE_CLIENTS_DIR="$(CACHE)/clients" \
		$(VENV)/bin/python tests/clients/run.py $(LEVEE) $(LANGUAGES)

fuzz: build ## Ask a live Levee what the document allows and what it does not
	@PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/python tests/clients/fuzz.py $(LEVEE)

update: build ## Rewrite the golden files
	@UPDATE=1 cargo test --locked --lib --quiet
	@python3 dashboards/build.py
	@$(CHART_PYTHON) tests/chart/generate.py
	@UPDATE=1 $(CHART_PYTHON) -m pytest -q -p no:cacheprovider tests/chart -k golden

bench: ## Benchmarks of the hot path
	@cargo bench --locked --bench hot_path

load: ## Compare Levee with nginx, HAProxy and Varnish, its API with Fastify, its cache with Node.js's, on this machine
	@tests/setup.sh
	@tests/setup.sh load
	@cargo build --locked --release
	@load/compare.sh $(CARGO_TARGET_DIR)/release/levee
	@load/control_plane.sh $(CARGO_TARGET_DIR)/release/levee
	@load/in_process.sh
	@load/redis_hit.sh

clean: ## Remove what was built
	@cargo clean
