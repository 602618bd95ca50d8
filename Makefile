# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# A process more than processors: some wait for services while others compute.
SIDE_BY_SIDE := --numprocesses $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder

# What waits and what computes overlap.
MAKEFLAGS += --jobs=2

.PHONY: demo test quick suite fuzz lint bench dashboards install system clean

demo: install
	$(BIN)/calodqm demo

test: lint suite

# Every decoder, led by coverage; not a part of `make test`, which replays what it has found.
MINUTES ?= 10
fuzz: install
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	PYTHONPATH=tests/support $(BIN)/python tests/support/fuzz.py --minutes $(MINUTES)

# Unit tests, laws and doctests: no services, nothing that takes long.
quick: install
	$(BIN)/pytest --numprocesses auto --dist loadfile -m "not services and not slow"

suite: install system
	$(BIN)/pytest $(SIDE_BY_SIDE)

# It yields to the tests beside it, of which some wait for an answer in seconds.
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	nice $(BIN)/mypy
	nice $(BIN)/lint-imports

bench: install
	$(BIN)/calodqm bench

# Grafana's own types and UI library come from npm: 600 MB, so not a part of `make test`. Needs node 20.
RENDER := deploy/grafana/render
dashboards: install system $(RENDER)/node_modules
	npm --prefix $(RENDER) run --silent build
	$(BIN)/pytest -m dashboards --timeout 1200

$(RENDER)/node_modules: $(RENDER)/package.json
	npm --prefix $(RENDER) install --no-audit --no-fund --no-package-lock
	touch $@

install: $(STAMP)

# A bare Debian has python3 without venv: it is a package of its own there.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,embedded,root]'
	touch $@

# What the tests run for real and only Debian packages: Prometheus, Alertmanager, Chromium.
system:
	sh .ci/system-packages

clean:
	rm -rf $(VENV)
