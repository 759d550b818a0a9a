PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DEMO := liu_goh dataset=digits seed=0,1 trainer.max_epochs=3

.PHONY: demo install test lint readme

# Liu & Goh's ablation on 1,797 real digits: under two minutes on 2 cores.
demo: install
	$(BIN)/reslab reproduce $(DEMO)

# The README's table and picture, from the demo's runs.
readme: demo
	$(BIN)/reslab table $(DEMO) --output outputs/reference --readme README.md

install: $(INSTALLED)

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("reslab needs Python 3.11 or newer; make PYTHON=... names one" if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV): PyTorch is large, this takes a few minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
