# make demo   predictions for the crystals in examples/ from the shipped weights, on the CPU
# make test   the whole test suite
# make lint   style and types
# Everything happens in $(VENV); the only network access is the package index.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# One BLAS thread: the worker processes share the cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.stamp-run
	$(BIN)/shc predict examples/

test: $(VENV)/.stamp-test
	$(BIN)/python -m pytest

lint: $(VENV)/.stamp-test build/mypy/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/mypy:benchmarks $(BIN)/mypy --explicit-package-bases build/mypy/shc $(wildcard tests benchmarks)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-run: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(VENV)/.stamp-test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[test]'
	touch $@ $(VENV)/.stamp-run

# mypy does not follow the import hook of an editable install, so it gets the namespace as links to the folders.
build/mypy/.stamp: Makefile
	mkdir -p build/mypy/shc
	ln -sfn ../../../shc_cli build/mypy/shc/cli
	ln -sfn ../../../featurize build/mypy/shc/featurize
	ln -sfn ../../../kernels build/mypy/shc/kernels
	ln -sfn ../../../models build/mypy/shc/models
	touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
