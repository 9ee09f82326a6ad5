# `make demo` and `make test` work on a fresh clone: each sets .venv up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODERN := .venv-modern

.PHONY: demo docs test test-all test-modern clean

# Stamps: reinstall when what is installed changes.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: setup.py constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): some minutes without a word, 6 GB of disk"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	touch $@

demo: $(VENV)/installed-demo
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python recipes/ESC50/train.py hparams.yaml

# Two processes of one thread each, since most tests wait for imports.
test: PYTEST_OPTIONS := -m "not slow"
test test-all: %: $(VENV)/installed-%
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(PYTEST_OPTIONS)

test-all: docs

# site/index.html
docs: $(VENV)/installed-docs
	$(BIN)/sphinx-build -q -W --keep-going -c docs . site
	cp site/README.html site/index.html

# The core, which is all unit tests but those of MS-CLAP, on the newest libraries.
$(MODERN)/installed: setup.py constraints-modern.txt
	$(PYTHON) -m venv $(MODERN)
	$(MODERN)/bin/python -m pip install --quiet --requirement constraints-modern.txt
	$(MODERN)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

test-modern: $(MODERN)/installed
	OMP_NUM_THREADS=1 $(MODERN)/bin/python -m pytest -q -n 2 --dist loadfile -m "not slow" tests/unittests

clean:
	rm -rf $(VENV) $(MODERN) docs/api results site
