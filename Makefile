# From nothing to the book: `make book`. Needs Python 3.11 or newer, a network for packages, about 8 GB of disk.

PRESET ?= mini
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.rifr-installed
export RIFR_PRESET := $(PRESET)
# The environment's own kernel, never one that the user has installed under the same name.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.PHONY: help book test benchmarks clean

help:
	@echo "make book         render the faces, train the networks, execute every chapter -> book/_build/html/index.html"
	@echo "make test         the quick test suite"
	@echo "make benchmarks   speeds, each beside its rival -> book/records/speed.json (wants a quiet machine)"
	@echo "make clean        remove the built pages and the stored outputs of cells (faces and networks in store/ stay)"
	@echo
	@echo "PRESET=$(PRESET)      smoke (minutes), mini (default; under half an hour on 2 cores), rendered (one GPU), paper"
	@echo "PYTHON=$(PYTHON)   what makes the environment in $(VENV); 3.11 or newer"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than Python 3.11; name another: make book PYTHON=/path/to/python3.11" >&2; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[book,test]'
	@touch $@

# The networks are trained first, because here their progress shows; the chapters then find them.
# Threads that wait sleep: spinning, two of them on a busy machine are several times slower than one.
book: export OMP_WAIT_POLICY ?= PASSIVE
book: $(READY)
	$(BIN)/python -m rifr train --all --preset $(PRESET)
	$(BIN)/jupyter-book build book -W --keep-going
	@echo
	@echo "The book is ready: open $(CURDIR)/book/_build/html/index.html"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8

benchmarks: $(READY)
	$(BIN)/python tests/benchmarks/speeds.py

clean:
	rm -rf book/_build book/_cache .pytest_cache
