# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test lint bench install system clean

demo: install
	$(BIN)/calodqm demo

test: install system lint
	$(BIN)/pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/calodqm bench

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
