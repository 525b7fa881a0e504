# What can be done with Muster. `make` alone lists it.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# Outside the clone, so that a second clone or a deleted one costs no second build.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/muster/target
export PATH := $(PATH):$(HOME)/.cargo/bin:$(HOME)/.cache/muster/tools/bin
# A build takes the queries as engine/.sqlx describes them and asks no database.
export SQLX_OFFLINE := true

.DEFAULT_GOAL := help
.PHONY: help demo demo-agents run dev test agents-test lint e2e bench bench-engine setup audit screenshots

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Install what is missing, build, run three tasks on a sample repository and serve the dashboard
	@scripts/timed install scripts/setup
	@scripts/timed build cargo xtask build --release
	@scripts/timed run "$(CARGO_TARGET_DIR)/release/muster" demo

demo-agents: ## The same with Claude Code and Codex, their models played, on two runners, with networks of their own for root (Linux)
	@scripts/timed install scripts/setup --tests
	@scripts/timed build cargo xtask build --release
	@scripts/timed run scripts/demo-agents "$(CARGO_TARGET_DIR)/release/muster"

run: ## Build a release and serve it
	@scripts/setup
	@cargo xtask build --release
	@exec "$(CARGO_TARGET_DIR)/release/muster" serve

dev: ## Serve, and build again when a file changes
	@scripts/setup
	@cargo xtask dev

test: ## Install what the tests need and run all of them
	@scripts/test

agents-test: ## Gemini CLI and OpenCode against models that are played, which the tests leave out: they are hundreds of megabytes
	@scripts/setup --tests
	@scripts/agents-test

lint: ## Format, clippy on the server's and the browser's side, query descriptions, licences
	@scripts/lint

e2e: ## The browser tests alone; ARGS="tasks -g cancel" picks some
	@scripts/setup --tests
	@cargo xtask build
	@scripts/e2e $(ARGS)

screenshots: ## Every page at three widths in both themes, in TO= (/tmp/muster-screenshots)
	@scripts/setup --tests
	@cargo xtask build
	@SCREENSHOTS="$(abspath $(or $(TO),/tmp/muster-screenshots))" scripts/e2e --project screenshots

bench: ## Measure start, memory, pages and the engine, in one table; ARGS=--short takes minutes less
	@scripts/setup --bench
	@cargo xtask build --release
	@cargo build --quiet --release --package bench-engine
	@cd bench && node bench.mjs
	@"$(CARGO_TARGET_DIR)/release/bench-engine" run --after "$(CARGO_TARGET_DIR)/bench-pages.json" $(ARGS)

bench-engine: ## Measure the engine alone, beside other queues; ARGS="--short --only latency" picks
	@scripts/setup --bench
	@cargo build --quiet --release --package bench-engine
	@"$(CARGO_TARGET_DIR)/release/bench-engine" run $(ARGS)

setup: ## Install what a build needs
	@scripts/setup

audit: ## Ask the advisory database about every dependency; needs the network
	@scripts/setup --tests
	@cargo deny check advisories
