# tickerd: `make run` runs it against the bundled Kite simulator, `make test` tests it. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
FOR    ?=
ONLY   ?=
MINUTES ?= 20
PREFIX ?= /opt/tickerd
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
CHECKERS := $(VENV)/.checkers

.PHONY: help run test test-full test-system test-all test-tools bench soak lint schema deb install uninstall clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tickerd needs Python 3.11 or newer; choose one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

# For deploy/: large, and only the long tests want them.
$(CHECKERS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group deploy
	@touch $@

run: $(STAMP) ## run the daemon against the simulator (FOR=10s stops by itself)
	@mkdir -p run
	@$(BIN)/tickerd simulate -- $(BIN)/tickerd run -c config/demo.yaml --status-line $(if $(FOR),--for $(FOR))

test: $(STAMP) ## lint, types, contracts and tests: below 5 minutes on two cores, no root
	@BIN=$(BIN) tests/run.sh quick

test-full: $(CHECKERS) ## what `make test` leaves out: coverage, fuzz, conservation, foreign clients, systemd: below 45 minutes
	@BIN=$(BIN) tests/run.sh full

test-system: $(STAMP) ## on a real systemd, as root: below 4 minutes, part of test-full
	@$(BIN)/python -m pytest -o timeout=300 --durations=10 tests/system

test-all: ## the quick tests on each of Python 3.11, 3.12 and 3.13 that is installed
	@tests/run-all-pythons.sh

test-tools: ## install the Debian and npm packages that test-full needs (as root)
	@tests/install-tools.sh

bench: $(STAMP) ## print speed as ratios against named peers
	@$(BIN)/python benchmarks/run.py $(ONLY)

soak: $(STAMP) ## everything at once for MINUTES=20, with gates on memory, tasks, descriptors, lag and gaps
	@MINUTES=$(MINUTES) $(BIN)/python benchmarks/soak.py

schema: $(STAMP) ## write config/tickerd.schema.json anew from the installed plugins
	@$(BIN)/tickerd schema > config/tickerd.schema.json

install: ## as root: into PREFIX (/opt/tickerd), with units, a configuration, a user and directories
	@PREFIX=$(PREFIX) PYTHON=$(PYTHON) packaging/install.sh install

uninstall: ## as root: remove what install has made; configuration and data stay
	@PREFIX=$(PREFIX) packaging/install.sh uninstall

deb: ## build/tickerd_VERSION_ARCH.deb
	@packaging/deb.sh $(VERSION)

clean: ## remove everything that was made here
	rm -rf $(VENV) run build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
