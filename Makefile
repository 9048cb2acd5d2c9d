# `make demo` and `make test` need nothing but Python 3.11 or later: the first
# call of any target makes the environment in .venv.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
ENVIRONMENT := .venv/.stamp
PEERS := .venv/.bench-stamp
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# Public data sets are read from this folder where it is at hand, else downloaded.
ifneq ($(wildcard ../shared/data),)
demo docs: export GENEEXPR_DATA ?= $(abspath ../shared/data)
endif

# The matrices of the tests are small: threads would cost more than they give.
test docs: export OMP_NUM_THREADS ?= 1

.PHONY: help demo test lint format docs bench clean

help:
	@echo "make demo    the main job: counts of three laboratories to an explained prediction"
	@echo "             on your own: make demo COUNTS=counts.csv SAMPLES=samples.csv LABEL=column"
	@echo "             BATCH=column LENGTHS=lengths.csv (or LENGTHS=none)"
	@echo "make test    the test suite, doctests included (ARGS='-k combat' for a part)"
	@echo "make lint    ruff: rules and format"
	@echo "make docs    the documentation, into docs/_build/html"
	@echo "make bench   speed and memory against other tools (JOBS=combat, ARGS=--quick)"

$(ENVIRONMENT): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "geneexpr needs Python 3.11 or later, got %s: name one with make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "Making the environment in .venv (about two minutes, once)"
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[dev]'
	touch $@

# A peer that cannot be built here only costs its row of the table.
$(PEERS): $(ENVIRONMENT)
	$(INSTALL) --editable '.[bench]' || echo "Some peers could not be installed: their rows will say so"
	touch $@

demo: $(ENVIRONMENT)
	$(BIN)/python docs/demo $(if $(COUNTS),--counts '$(COUNTS)') $(if $(SAMPLES),--samples '$(SAMPLES)') \
		$(if $(LABEL),--label '$(LABEL)') $(if $(BATCH),--batch '$(BATCH)') \
		$(if $(LENGTHS),--lengths '$(LENGTHS)') $(ARGS)

test: $(ENVIRONMENT)
	$(BIN)/python -m pytest $(ARGS)

lint: $(ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(ENVIRONMENT)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(ENVIRONMENT)
	rm -rf docs/api/generated  # pages of names that are gone
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html $(ARGS)

bench: $(PEERS)
	$(BIN)/python -m benchmarks $(JOBS) $(ARGS)

clean:
	rm -rf .venv build dist demo_output docs/_build docs/api/generated docs/auto_examples
