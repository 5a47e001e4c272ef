# SPDX-License-Identifier: Apache-2.0
# Everything here needs python3, make and a C compiler; the rest is fetched into .venv. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
READY := $(VENV)/.ready
SEED ?= 1
FUZZ_SECONDS ?= 60
C_FILES = $(shell find native tests/programs src/heaptide/demo -name '*.[ch]' -o -name '*.cpp')

.PHONY: help setup native page demo test lint bench bench-truth fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: $(READY) ## make .venv with heaptide (editable) and what its development needs

# In two steps, so that the demo waits for no linter: heaptide with its graphs, then what development needs.
$(BASE): pyproject.toml tools/venv.sh
	tools/venv.sh "$(PYTHON)" $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[graph]'
	touch $@

$(READY): $(BASE)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

native: ## compile the agent and the recorder where they are out of date
	$(PYTHON) native/build.py

page: $(BASE) ## build the web page's template from page/ (its product is in the tree: only after a change there)
	$(BIN)/python tools/build_page.py

demo: $(BASE) native ## build and run a leaking server, then show what heaptide says of it (SEED=1)
	$(BIN)/heaptide demo --seed $(SEED)

test: setup native ## run every test; installs what system tests need when that can be done
	tools/system-packages.sh tests/system-packages.txt
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup ## ruff, mypy --strict, clang-format, and a build in which warnings are errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(PYTHON) native/build.py --out build/lint
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $(C_FILES); \
	else echo "lint: clang-format is not there, C files not checked (Debian: apt install clang-format)" >&2; fi

bench: setup native ## measure what the tool costs, beside its peers: one table (ROWS="hot jq" for some of it)
	tools/system-packages.sh bench/system-packages.txt
	@mkdir -p bench/out
	$(BIN)/python -m bench $(BENCH_ARGS) $(ROWS) | tee bench/out/costs.txt

bench-truth: setup native ## measure how right it is: against tcmalloc, error bars, symbols
	@mkdir -p bench/out
	@for name in against_tcmalloc error_bars symbols; do \
	echo "== $$name"; $(BIN)/python -m bench.$$name | tee bench/out/$$name.txt; done

fuzz: setup ## fuzz the readers, FUZZ_SECONDS each (60)
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

clean: ## remove what was built, .venv included
	rm -rf $(VENV) build dist src/heaptide/_native .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out bench/out page/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
