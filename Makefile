# make demo | make test | make lab | make lint | make bench [NAME=serving] | make clean
# Each sets up what it needs by itself, once: Python packages in .venv, the panel's build, a browser for the tests.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PANEL := jupyter_mlops/labextension/package.json
PANEL_SOURCES := $(shell find labextension -path labextension/node_modules -prune -o -path labextension/lib -prune -o -type f \( -name '*.ts' -o -name '*.tsx' -o -name '*.css' -o -name '*.svg' -o -name '*.json' \) -print)
SAY := @printf '\033[1m== %s\033[0m\n'

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export UV_LINK_MODE = copy
export MLFLOW_DISABLE_TELEMETRY = true
export NPM_CONFIG_UPDATE_NOTIFIER = false
# Every kernel, service and server under test is a process of its own: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-fast lab lint format bench setup browser prometheus clean

help:
	@echo 'make demo    run the tour notebook through the whole loop and tell what was made'
	@echo 'make test    run the checks and tests, with real services, model servers and a browser'
	@echo 'make test-all  those and the long ones: kernels, simulations, faults, pipeline engines'
	@echo 'make lab     open JupyterLab on the tour'
	@echo 'make lint    ruff, mypy, eslint, prettier and the TypeScript compiler'
	@echo 'make bench   measure against the named peers; NAME=serving runs one'

demo: setup
	$(SAY) 'the tour: one notebook through the whole loop'
	@$(BIN)/python example_notebooks/run_tour.py

test: setup lint browser
	$(SAY) 'the panel: unit tests'
	@cd labextension && npm test --silent
	$(SAY) 'tests: real stores, services and model servers; the long ones are in make test-all'
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow and not ui and not extended'
	$(SAY) 'tests: JupyterLab, Notebook 7 and the live views in a real browser'
	@$(BIN)/python -m pytest -q -m 'ui and not extended'

test-all: test prometheus
	$(SAY) 'tests: kernels, simulations, faults, engines in their own environments'
	@$(BIN)/python -m pytest -q -m '(slow or extended) and not ui'

test-fast: setup
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow and not ui and not extended'

lab: setup
	$(SAY) 'JupyterLab on the tour; Ctrl-C ends it'
	@mkdir -p build/lab && cp -n example_notebooks/*.ipynb build/lab/ || true
	@cd build/lab && ../../$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) tour.ipynb

lint: setup
	$(SAY) 'lint: Python'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	$(SAY) 'lint: TypeScript'
	@cd labextension && npm run --silent lint:check

format: setup
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@cd labextension && npm run --silent lint

bench: setup
	@$(BIN)/python -m tests.benchmarks $(NAME)

setup: $(VENV)/.ready $(PANEL)

# The stamp is newer than what it was made from, so a second run does nothing.
$(VENV)/.ready: pyproject.toml constraints.txt $(PANEL)
	$(SAY) 'setup: Python packages into .venv'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --group dev -c constraints.txt -e '.[all]'
	@touch $@

$(BIN)/uv:
	$(SAY) 'setup: a virtual environment'
	@command -v $(PYTHON) >/dev/null || { echo 'python3 is missing: install Python 3.11, 3.12 or 3.13 (Debian: apt-get install python3 python3-venv)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version); name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'the venv module is missing (Debian: apt-get install python3-venv)' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet uv

labextension/node_modules/.ready: labextension/package-lock.json labextension/.npmrc
	$(SAY) 'setup: Node packages for the panel'
	@command -v npm >/dev/null || { echo 'npm is missing: install Node.js 20.19 or newer (Debian: apt-get install nodejs npm)' >&2; exit 1; }
	@node -e 'const [a,b]=process.versions.node.split(".").map(Number); process.exit(a>22||a===22&&b>=12||a===20&&b>=19?0:1)' || { echo "Node.js 20.19 or 22.12 and newer is needed, this is $$(node --version)" >&2; exit 1; }
	@cd labextension && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

$(PANEL): $(BIN)/uv labextension/node_modules/.ready $(PANEL_SOURCES)
	$(SAY) 'setup: building the panel'
	@rm -rf jupyter_mlops/labextension
	@cd labextension && npm run --silent build:prod
	@touch $@

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  printf '\033[1m== setup: Chromium for the browser tests\033[0m\n'; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	  else echo 'Chromium is missing and this user cannot install it: run `sudo apt-get install chromium fonts-dejavu-core`' >&2; exit 1; fi; }

prometheus:
	@command -v promtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; \
	  else echo 'Prometheus is missing and this user cannot install it: run `sudo apt-get install prometheus`' >&2; exit 1; fi; }

clean:
	rm -rf $(VENV) build dist labextension/node_modules labextension/lib jupyter_mlops/labextension .mypy_cache .ruff_cache .pytest_cache
