# Everything a newcomer or a contributor types. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
INSTALL := $(PY) -m pip install --disable-pip-version-check --no-input
READY := $(VENV)/.ready
PROJECT := var/project
VENDORS := .venv-vendors
PEERS := var/peers
NODE_RED := node-red@4.1.15

.PHONY: help setup demo run test check lint format fuzz trouble chaos rolling bench growth peers compare vectors lock clean

help: ## list these targets
	@echo "make TARGET, with PYTHON=python3.12 to choose another Python:"
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 12

setup: $(READY) ## make .venv from requirements.lock, with the project in it (nothing to do if up to date)

demo: $(READY) ## watch the main job done: signed fixtures in, handlers run, a table of what came of each
	@$(PY) -m tests.journeys.demo

run: $(READY) ## serve a small project, made in var/project at the first time
	@test -f $(PROJECT)/postern.toml || $(BIN)/postern init $(PROJECT) --source stripe --source github
	@cd $(PROJECT) && exec $(CURDIR)/$(BIN)/postern serve

# Three at a time also on two cores: they mostly wait, for processes that start and for leases that run out.
test: $(READY) ## run all tests (one file: make test ARGS=tests/test_packaging.py)
	@$(PY) -m pytest $(or $(ARGS),-n 3 --dist loadgroup)

check: lint test ## all that must pass before a change is taken: format, lint, types, import contracts, tests

lint: $(READY) ## the part of check that runs nothing: format, lint, types, import contracts
	@echo "format:"; $(BIN)/ruff format --check .
	@echo "lint:"; $(BIN)/ruff check .
	@echo "types:"; $(BIN)/mypy
	@echo "imports:"; $(BIN)/lint-imports --no-logo

format: $(READY) ## rewrite the code in the project's format, and mend what the linter can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

fuzz: $(READY) ## a million hostile inputs against intake, half an hour or more (less: make fuzz ARGS="--inputs 50000")
	@$(PY) -m tests.fuzz --sockets 2000 $(ARGS)

trouble: $(READY) ## half a minute each of a store that is full, read-only, locked, gone, down or frozen, under load
	@POSTERN_TROUBLE_S=30 $(PY) -m pytest tests/receiver/test_store_trouble.py $(ARGS)

chaos: $(READY) ## the long crash test, on each store and queue: 200 kills under a load of 20,000 events
	@$(PY) -m tests.chaos --kills 200 --events 20000 $(ARGS)
	@$(PY) -m tests.chaos --kills 200 --events 20000 --store postgresql --queue redis $(ARGS)
	@$(PY) -m tests.chaos --kills 200 --events 20000 --store postgresql --queue amqp $(ARGS)

rolling: $(READY) ## 100 rolling restarts of two receivers and two workers under load, on PostgreSQL and Redis
	@$(PY) -m tests.journeys.rolling --store postgresql --queue redis --restarts 100

bench: $(READY) ## measure intake against a server that stores nothing, and the time to a finished handler
	@$(PY) -m tests.benchmarks.intake
	@$(PY) -m tests.benchmarks.intake --store postgresql

growth: $(READY) ## measure intake beside a million stored events (beside ten million too: make growth ARGS=--ten-million)
	@$(PY) -m tests.benchmarks.growth $(ARGS)
	@$(PY) -m tests.benchmarks.growth --store postgresql $(ARGS)

peers: $(READY) ## install what compare compares with (only Debian's webhook by hand: sudo apt-get install webhook)
	@PYTHONWARNINGS=ignore $(INSTALL) --quiet --no-build-isolation --editable '.[peers]'
	@if command -v npm >/dev/null; then \
	    npm install --prefix $(PEERS) --ignore-scripts --no-audit --no-fund --loglevel=error $(NODE_RED); \
	else echo "Node-RED needs npm; on Debian and Ubuntu: sudo apt-get install npm"; fi

compare: peers ## measure intake and handlers against what others use, and workers that are idle, loaded, killed
	@$(PY) -m tests.benchmarks.intake --peers
	@$(PY) -m tests.benchmarks.intake --peers --store postgresql
	@$(PY) -m tests.benchmarks.processing
	@$(PY) -m tests.benchmarks.workers

vectors: $(VENDORS)/.ready ## have vendors' libraries sign tests/vendors/vectors anew; a difference is a change at the vendor
	@for maker in $$(grep -l '^if __name__' tests/vendors/make/*.py); do \
	    echo "$$(basename $$maker .py)"; $(VENDORS)/bin/python -m $$(echo $${maker%.py} | tr / .); done
	@git status --short tests/vendors/vectors

lock: $(READY) ## write requirements.lock anew after pyproject.toml changed (newest releases: make lock ARGS=--upgrade)
	@echo "asking the package index for every hash, a minute or two"
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --no-config --extra test --extra dev --generate-hashes \
	    --allow-unsafe --strip-extras --no-build-isolation --no-emit-options --no-emit-index-url \
	    --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock $(ARGS) pyproject.toml
	@grep -c == requirements.lock | sed 's/$$/ packages in requirements.lock/'

clean: ## remove what make, the tools and the build left behind, .venv and var too
	@rm -rf $(VENV) $(VENDORS) tests/vendors/make/node_modules var build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
	@find receiver processors tests fixtures -name __pycache__ -prune -exec rm -rf {} +

# An environment of their own: these libraries want other versions than Postern does, and none of them is a part of it.
$(VENDORS)/.ready: tests/vendors/make/requirements.txt tests/vendors/make/package-lock.json
	@echo "vendors' libraries, a minute or two"
	@$(PYTHON) -m venv --clear $(VENDORS)
	@$(VENDORS)/bin/python -m pip install --disable-pip-version-check --no-input --quiet --requirement $<
	@npm ci --prefix tests/vendors/make --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Two stamps: another lock makes a new environment, another pyproject.toml only installs the project again.
# The warning left out is setuptools' general one about editable installs.
$(READY): $(VENV)/.locked pyproject.toml
	@echo "postern itself, editable"
	@PYTHONWARNINGS=ignore $(INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Postern needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not one)." >&2; \
	    echo "  Install one and name it: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) comes without its module venv." >&2; \
	    echo "  On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "$(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "$$(grep -c == requirements.lock) packages of requirements.lock, about a minute:"
	@$(INSTALL) --progress-bar off --require-hashes --requirement requirements.lock | \
	    while read -r word name _; do case "$$word" in Collecting) echo "  $${name/==/ }";; Installing) echo "installing";; esac; done
	@touch $@
