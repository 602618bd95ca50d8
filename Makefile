# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# A process more than processors: some wait for services while others compute.
SIDE_BY_SIDE := --numprocesses $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder

# What fails beside others, or while the machine stood still, must pass with nothing beside it. Both
# results are printed.
ONCE_MORE := --last-failed --last-failed-no-failures none

# What times messages has the machine for itself.
USUAL := not dashboards and not delays and not producers

# What waits and what computes overlap.
MAKEFLAGS += --jobs=2

.PHONY: demo test quick quick-streams quick-models suite fuzz lint bench producers crews crew-deployed renderers compat sbom dashboards cost kafka apache chaos growth recovery install system clean

demo: install
	$(BIN)/calodqm demo

test: lint suite

# Every decoder, led by coverage; not a part of `make test`, which replays what it has found.
MINUTES ?= 10
fuzz: install
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	PYTHONPATH=tests/support $(BIN)/python tests/support/fuzz.py --minutes $(MINUTES)

# Unit tests, laws and doctests: no services, nothing that takes long. Two halves side by side: that each
# looks for its own tests alone saves more than a fair share of all would.
HALF := $(shell expr $$(nproc) / 2)
QUICK := OMP_NUM_THREADS=1 $(BIN)/pytest -q -p no:cacheprovider $(if $(filter 0 1,$(HALF)),,--numprocesses $(HALF) --dist loadfile --no-loadscope-reorder) -m "$(USUAL) and not services and not slow"
quick: quick-streams quick-models

quick-streams: install
	$(QUICK) consumers monitor tests/consumers tests/deploy tests/monitor

quick-models: install
	$(QUICK) models tests $(addprefix --ignore=tests/,consumers deploy integration monitor)

suite: install system renderers
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "$(USUAL) and not timed" || $(BIN)/pytest $(ONCE_MORE) -m "$(USUAL) and not timed"
	$(BIN)/pytest tests/integration -m "$(USUAL) and timed" || $(BIN)/pytest $(ONCE_MORE) tests/integration -m "$(USUAL) and timed"

# What renders manifests and compose file as their readers do; without Go those tests are skipped.
renderers:
	@command -v go > /dev/null && .ci/renderers || echo "no Go: manifests and compose file are not rendered"

# It yields to the tests beside it, of which some wait for an answer in seconds.
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	nice $(BIN)/mypy
	nice $(BIN)/lint-imports

bench: install
	$(BIN)/calodqm bench

# Prometheus and Alertmanager as deployed, and the newest; Debian's are those of `make test`. Needs Go.
# One after the other: they time messages.
crews: crew-deployed
	PYTEST=$(BIN)/pytest .ci/crew newest

crew-deployed: install system
	PYTEST=$(BIN)/pytest .ci/crew deployed

# Beside CI: the lowest dependencies that are declared and the newest that there are.
compat: crews
	PATH=$(abspath $(BIN)):$$PATH .ci/pythons

# The bill of materials of the environment; that of the image is in it, /app/bom.json.
sbom: install
	UV=$(BIN)/uv .ci/sbom $(BIN)/python bom.json

# The guide's programs in six languages, built and run where their toolchains are: minutes, and what they fetch.
# On Apache Kafka where it can be had: two of their clients cannot talk to the embedded broker.
producers: install system
	@if [ -z "$$KAFKA_HOME" ] && command -v mvn > /dev/null; then $(MAKE) --no-print-directory kafka; export KAFKA_HOME=$(CURDIR)/tests/kafka; fi; \
	$(BIN)/pytest -m producers -rs

# Grafana's own types and UI library come from npm: 600 MB, so not a part of `make test`. Needs node 20.
RENDER := deploy/grafana/render
dashboards: install system $(RENDER)/node_modules
	npm --prefix $(RENDER) run --silent build
	$(BIN)/pytest -m dashboards --timeout 1200

$(RENDER)/node_modules: $(RENDER)/package.json
	npm --prefix $(RENDER) install --no-audit --no-fund --no-package-lock
	touch $@

# What the Prometheus rules cost, up to 100 workers and 1,024 regions: minutes, and 3 GB of disk.
cost: install system
	$(BIN)/python tests/cost/cost.py --out deploy/figures/rules.json

# Brokers, workers and judges killed, stopped and paused on three Apache brokers, whose network, disks and
# clocks go wrong; figures to deploy/figures. Disks need the right to mount, clocks and fsync a C compiler.
# `make chaos MINUTES=5 SEED=1`, or KILLS=100 for kills alone. Not a part of `make test`.
SEED ?= 1
KILLS ?= 0
chaos: install kafka
	$(BIN)/python tests/chaos/chaos.py --minutes $(MINUTES) --seed $(SEED) --kills $(KILLS)

# What a judge and a worker hold over an hour, on both brokers: `make growth MINUTES=75`.
growth: install
	$(BIN)/python tests/chaos/growth.py --minutes $(MINUTES)

# How long nothing is judged while brokers go and come, beside plain clients: four minutes.
recovery: export KAFKA_HOME := $(KAFKA_HOME)
recovery: install
	$(BIN)/python tests/chaos/recovery.py

# Apache Kafka's jars by their Maven coordinates: 44 MB. The tests then find them. Needs Java 17 and Maven.
KAFKA := tests/kafka/libs
kafka: $(KAFKA)

$(KAFKA): tests/kafka/pom.xml
	mvn --quiet --batch-mode --file $< dependency:copy-dependencies
	touch $@

# The integration tests on Apache Kafka, from `make kafka` or where KAFKA_HOME is, but those without a broker
# and the wheel, which installs itself for minutes.
KAFKA_HOME ?= $(CURDIR)/tests/kafka
NO_BROKER := $(addprefix --ignore=tests/integration/test_,$(addsuffix .py,alertmanager channels_page page page_acts page_server prometheus rendered rendered_wall wall wheel))
apache: export KAFKA_HOME := $(KAFKA_HOME)
# Brokers that live for seconds start in half the time by the quick compiler alone.
apache: export KAFKA_OPTS := -XX:TieredStopAtLevel=1
apache: install system
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/integration $(NO_BROKER) -m "$(USUAL) and not timed" || $(BIN)/pytest $(ONCE_MORE) tests/integration -m "$(USUAL) and not timed"
	$(BIN)/pytest tests/integration $(NO_BROKER) -m "$(USUAL) and timed" || $(BIN)/pytest $(ONCE_MORE) tests/integration -m "$(USUAL) and timed"

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
