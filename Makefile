# Each target does its own set-up. PYTHON chooses the interpreter that .venv is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Sessions and workers are many short processes: compiling every module again in each takes a quarter of their time.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help evals test gpu test-gpu selftest lint bench corpus scenes clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "docvlm-evals needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,models,served,structured]'
	touch $@

evals: $(STAMP) ## Evaluate the default models on the bundled documents; report in reports/latest
	$(BIN)/python -m pytest evals $(ARGS)

test: $(STAMP) ## Run the project's own tests
	$(BIN)/python -m pytest tests --ignore tests/benchmarks -n 3 --dist loadfile $(ARGS)

gpu: $(STAMP) ## Evaluate the full-size models on this machine's GPU; without one, say why and do nothing
	$(BIN)/python -m pytest evals -m gpu $(ARGS)

test-gpu: $(STAMP) ## Run the project's own tests that need an NVIDIA GPU
	$(BIN)/python -m pytest tests/gpu -s $(ARGS)

bench: $(STAMP) ## Measure what the suite itself costs
	$(BIN)/python -m pytest tests/benchmarks -s $(ARGS)

selftest: $(STAMP) ## Run backends of known faults through the suite: each must light its own lamp
	$(BIN)/python -m pytest evals/selftest $(ARGS)

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

corpus: $(STAMP) ## Draw the bundled documents again
	$(BIN)/python -m harness.documents.synthesis --count 120 --seed 2025 --force fixtures/corpus

scenes: $(STAMP) ## Draw the bundled scenes and figures again
	$(BIN)/python -m harness.scenes --count 100 --figures 36 --seed 2025 --force fixtures/scenes

clean: ## Remove the environment, caches and the latest report
	rm -rf $(VENV) reports/latest .benchmarks .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
