# `make demo` and `make test` need python3 (3.11 or newer), make and a package index; every target makes what it
# lacks and nothing twice. Another interpreter: make test PYTHON=python3.14 VENV=.venv-3.14

PYTHON ?= python3
VENV ?= .venv
# Extras that the test suite is installed with.
TEST_EXTRAS ?= demo,uvloop
# Passed on to pytest, as in: make test PYTEST_ARGS='-k cancel -x'
PYTEST_ARGS ?=
# Lends its pip to the environment of a PYTHON that was built without ensurepip.
HELPER_PYTHON ?= python3

BIN := $(VENV)/bin
# Errors only: warnings about the machine's own pip settings would drown what matters.
PIP_QUIET := --quiet --quiet
PIP_INSTALL := $(BIN)/python -m pip install $(PIP_QUIET) -c constraints.txt --build-constraint constraints.txt
HELPER := $(VENV)/helper
PYTEST := $(BIN)/python -m pytest
PINS := pyproject.toml constraints.txt
# The parts of the suite: each runs in a process of its own. What is in none of them is the first part.
PART_2 := tests/model tests/cli tests/integrations tests/services
PART_3 := tests/process tests/interpreter tests/taskgroup tests/scorecard $(wildcard tests/test_[m-o]*.py)
RAY_SUITE := tests/ray $(patsubst %,tests/test_%.py,run cancel map keys lifespan resize) \
  $(patsubst %,tests/scorecard/test_%.py,03_kills 06_cancel 07_timeouts 08_unpicklable 11_orphans_on_ray \
  16_stopped_workers 17_poison 40_ray)
CODE := $(wildcard src tests examples bench)
# The suite starts hundreds of interpreters: compiling the package anew is most of what each of them would do.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.stamp-demo ## nine one-second calls in one second, then a real crawl
	$(BIN)/polyloop demo

# The examples and the code of the documentation have targets of their own. Three processes, for one leaves half of a
# machine with two cores idle; what the others print comes when all have ended. pytest's 5 is "no such tests here".
.PHONY: test
test: $(VENV)/.stamp-test ## run the test suite
	@$(PYTEST) $(PART_2) -p no:cacheprovider $(PYTEST_ARGS) >$(VENV)/part-2.log 2>&1 & second=$$!; \
	$(PYTEST) $(PART_3) -p no:cacheprovider $(PYTEST_ARGS) >$(VENV)/part-3.log 2>&1 & third=$$!; \
	others="$(PART_2:%=--ignore=%) $(PART_3:%=--ignore=%) --ignore=tests/ray"; \
	$(PYTEST) tests --ignore=tests/docs --ignore=tests/examples $$others $(PYTEST_ARGS); all=$$?; \
	for part in $$second $$third; do \
	    wait $$part; status=$$?; \
	    if [ $$all -eq 5 ] || { [ $$all -eq 0 ] && [ $$status -ne 5 ]; }; then all=$$status; fi; \
	done; \
	cat $(VENV)/part-2.log $(VENV)/part-3.log; exit $$all

# On a Ray cluster of several nodes on this machine: what is special there, and a part of the suite. Without tokens: a
# second program of a test could not use actors of a cluster that it joins. And nothing is told to Ray's makers.
.PHONY: test-ray
test-ray: $(VENV)/.stamp-ray ## run tests on a Ray cluster
	POLYLOOP_RAY=1 RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 $(PYTEST) $(RAY_SUITE) $(PYTEST_ARGS)

.PHONY: examples
examples: $(VENV)/.stamp-test ## run every program of examples/
	$(PYTEST) tests/examples $(PYTEST_ARGS)

.PHONY: docs
docs: $(VENV)/.stamp-test ## run all code of the README and of docs/
	$(PYTEST) tests/docs $(PYTEST_ARGS)

.PHONY: bench
bench: $(VENV)/.stamp-bench ## measure, side by side with the alternatives
	$(BIN)/python -m bench

.PHONY: scale
scale: $(VENV)/.stamp-ray ## measure what one program can feed, and renew the page about it
	$(BIN)/python -m bench.scale_page docs/explanation/scale.md

.PHONY: check
check: format-check lint types imports ## format, lint, types and import contracts

.PHONY: format
format: $(VENV)/.stamp-dev ## put the code into its format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: format-check
format-check: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .

.PHONY: lint
lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .

# Both checkers, each for the oldest and the newest Python: a branch on sys.version_info hides half the code. They run
# side by side, for neither uses more than one core.
.PHONY: types
types: $(VENV)/.stamp-dev
	@($(BIN)/mypy --python-version 3.11 $(CODE) && $(BIN)/mypy --python-version 3.15 $(CODE)) & mypy=$$!; \
	$(BIN)/pyright --pythonpath $(BIN)/python --pythonversion 3.11 && \
	  $(BIN)/pyright --pythonpath $(BIN)/python --pythonversion 3.15; pyright=$$?; \
	wait $$mypy && exit $$pyright

.PHONY: imports
imports: $(VENV)/.stamp-dev
	$(BIN)/lint-imports

.PHONY: dist
dist: $(VENV)/.stamp-dev ## build the sdist and the wheel
	$(BIN)/python -m build --no-isolation

# Removes no directory that is not a virtual environment, whatever VENV was set to.
.PHONY: clean
clean: ## remove everything that was made here, the virtual environment too
	if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed as editable everywhere: a second copy in the same environment would hide changes from the tests.
$(VENV)/.stamp-demo: $(PINS) $(VENV)/.stamp-venv
	@echo "Installing polyloop with what the demo needs into $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.stamp-test: $(PINS) $(VENV)/.stamp-venv
	@echo "Installing polyloop with what the tests need into $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[$(TEST_EXTRAS)]' --group test
	@$(PIP_INSTALL) --only-binary :all: --group services 2>/dev/null || \
	  echo "This Python has no wheels for the clients of group 'services': the tests that need them are skipped."
	@touch $@

$(VENV)/.stamp-ray: $(VENV)/.stamp-test
	@echo "Installing Ray into $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[$(TEST_EXTRAS),ray]'
	@touch $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-test
	@$(PIP_INSTALL) --group bench
	@touch $@

$(VENV)/.stamp-dev: $(PINS) $(VENV)/.stamp-venv
	@echo "Installing polyloop with what the checks need into $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[$(TEST_EXTRAS)]' --group dev
	@touch $@

# The pip that comes with a Python may be too old for dependency groups, so the pinned one is installed first.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "polyloop needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install $(PIP_QUIET) -c constraints.txt --upgrade pip; \
	else \
	  $(PYTHON) -m venv --without-pip $(VENV) && $(HELPER_PYTHON) -m venv $(HELPER) && \
	  $(HELPER)/bin/python -m pip install $(PIP_QUIET) -c constraints.txt --upgrade pip && \
	  $(HELPER)/bin/python -m pip --python $(BIN)/python install $(PIP_QUIET) -c constraints.txt pip && \
	  rm -rf $(HELPER); \
	fi
	@touch $@
