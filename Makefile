# What one does in a checkout. Needs make and Python 3.11 or newer; the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Each of the two has servers of its own; most of the time is spent waiting for processes.
TWO_AT_ONCE := --numprocesses 2 --dist worksteal
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo test lint crash kafka-test bench bench-quick bench-large clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with everything in it, at pinned versions

demo: install ## show everything on this machine, until Ctrl-C
	@$(BIN)/runfold demo

test: install ## run the tests on an embedded database and broker, in a few minutes
	$(BIN)/pytest $(TWO_AT_ONCE)

lint: install ## check style, types and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

crash: install ## run the long tests: kills, outages, sleepers, memory, fuzzing
	$(BIN)/pytest $(TWO_AT_ONCE) -m 'crash and not kafka'

kafka-test: install ## run the tests that need Apache Kafka: fetches it with Maven, runs it with Java
	@for tool in java mvn; do command -v $$tool >/dev/null || \
		{ echo "kafka-test: no $$tool on the path; install a JDK (17 or newer) and Maven" >&2; exit 1; }; done
	$(BIN)/pytest $(TWO_AT_ONCE) -m kafka

bench: install ## measure everything on Apache Kafka, write it to tests/bench and the README
	$(BIN)/pytest -m bench -k "not quick and not large" tests/bench --figures tests/bench/figures.json
	$(BIN)/python -m tests.bench.figures

bench-quick: install ## measure a little of everything, in about a minute
	$(BIN)/pytest -m bench -k quick tests/bench --figures bench-results/quick.json

bench-large: install ## measure with five million events in the views
	$(BIN)/pytest -m bench -k large tests/bench --figures tests/bench/figures-large.json

clean: ## remove all that is made here, .venv too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
		.hypothesis .schemathesis bench-results
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# Pip runs again only when what is needed has changed.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("runfold needs Python 3.11 or" \
		" newer, $(PYTHON) is " + sys.version.split()[0] + ": make install PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --requirement requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@# pip compiles what it installs but not a checkout, which every process would compile anew
	@# where Python was told not to write bytecode
	@$(BIN)/python -m compileall -q contracts projector api
	@touch $@
