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
.PHONY: help book pdf check test test-all benchmarks record clean

help:
	@echo "make book         render the faces, train the networks, execute every chapter -> book/_build/html/index.html"
	@echo "make book BATCH=runs/ablation   a book of the executed notebooks of a batch (rifr batch --help)"
	@echo "make pdf          the built book as one PDF, book/_build/book.pdf, printed by Chromium or Chrome where one is at hand"
	@echo "make check        format, lint, types, layers, spelling, notebooks without outputs"
	@echo "make test         the quick test suite, under five minutes on two cores"
	@echo "make test-all     every test: kills, builds of the book, batches and many processes too"
	@echo "make benchmarks   speeds, each beside its rival -> book/records/speed.json (wants a quiet machine)"
	@echo "make record       six networks, five seeds, every protocol -> book/records/large.json (two hours on two cores)"
	@echo "                  PRESET=rendered SEEDS=0 for a GPU; PAIRS=pairs.txt IMAGES=lfw112 scores LFW's pairs too"
	@echo "                  STUDY=name makes a study's instead (rifr record --help lists them; half an hour to two hours)"
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
ifdef BATCH
	$(BIN)/python -m rifr.batch.pages "$(BATCH)"
	$(BIN)/jupyter-book build "$(BATCH)/_build/pages" --path-output "$(BATCH)" -W --keep-going
	@echo
	@echo "The batch's book is ready: open $(BATCH)/_build/html/index.html"
else
	$(BIN)/python -m rifr train --all --preset $(PRESET)
	$(BIN)/jupyter-book build book -W --keep-going
	@echo
	@echo "The book is ready: open $(CURDIR)/book/_build/html/index.html"
endif

# Of the pages that are there: `make book` builds them. RIFR_BROWSER names a browser that is not on the path.
pdf: $(READY)
	$(BIN)/python -m rifr.report.pdf book/_build/html book/_build/book.pdf

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/nbstripout --verify --keep-id book/*.ipynb book/appendices/*.ipynb

PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8
test: $(READY)
	$(PYTEST) -m "not slow and not e2e"

test-all: $(READY)
	$(PYTEST)

benchmarks: $(READY)
	$(BIN)/python tests/benchmarks/speeds.py

# Its own default preset, unless one is named on the command line.
record: export OMP_WAIT_POLICY ?= PASSIVE
record: $(READY)
	$(BIN)/python -m rifr record $(if $(STUDY),--study $(STUDY)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(filter command,$(firstword $(origin PRESET))),--preset $(PRESET)) $(if $(PAIRS),--pairs $(PAIRS) --images $(IMAGES))

clean:
	rm -rf book/_build book/_cache .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
