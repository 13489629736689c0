# make demo   an environment, the package, and one small run from end to end
# make test   everything that a contribution has to pass
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Installed first and on its own: an open upper bound may choose a build that brings gigabytes of CUDA wheels.
TORCH := torch>=2.8,<2.14

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint docs bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-run ## set up, then train, evaluate and report the recipe faces/quickstart
	@echo "==> vaegan run faces/quickstart"
	@$(BIN)/vaegan run faces/quickstart
	@echo "==> done: the lines above say where report.html is; open it in a browser (it works offline)"

test: lint ## set up with the dev extra, then ruff, mypy and pytest
	@echo "==> pytest"
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(VENV)/.stamp-dev ## ruff and mypy
	@echo "==> ruff"
	@$(BIN)/python -m ruff check .
	@echo "==> mypy"
	@$(BIN)/python -m mypy

docs: $(VENV)/.stamp-dev ## build the documentation; a warning is an error
	@echo "==> sphinx"
	@rm -rf docs/api
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "==> open docs/_build/html/index.html"

bench: $(VENV)/.stamp-bench ## time a training step against a peer's
	@$(BIN)/python -m benchmarks step

clean: ## remove what was built; .venv and runs stay
	@rm -rf build dist docs/_build docs/api docs/jupyter_execute .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
	@echo "==> clean ($(VENV) and runs are kept)"

# Each stamp is younger than pyproject.toml as long as nothing has to be installed again.

$(VENV)/.stamp-venv:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "'$(PYTHON)' was not found; vaegan needs Python 3.10 or newer: make PYTHON=/path/to/python3 ..."; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "'$(PYTHON)' is $$("$(PYTHON)" --version 2>&1); vaegan needs 3.10 or newer: make PYTHON=python3.12 ..."; exit 2; }
	@echo "==> environment in $(VENV) ($$("$(PYTHON)" --version 2>&1))"
	@"$(PYTHON)" -m venv "$(VENV)"
	@touch $@

$(VENV)/.stamp-run: pyproject.toml | $(VENV)/.stamp-venv
	@echo "==> installing PyTorch and vaegan (the first time takes some minutes)"
	@$(PIP) "$(TORCH)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/.stamp-venv
	@echo "==> installing PyTorch and vaegan with its dev extra (the first time takes some minutes)"
	@$(PIP) "$(TORCH)"
	@$(PIP) -e ".[dev]"
	@touch $(VENV)/.stamp-run $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-dev
	@echo "==> installing what the benchmarks compare with"
	@$(PIP) -e ".[dev,bench]"
	@touch $@
