# Every target sets up what it needs on first use: Python 3.11 or later and make are enough.

PYTHON ?= python3
WORKERS ?= 2
BENCHMARKS := startup scaling file older live
BIN := .venv/bin
READY := .venv/ready

export CUDA_VISIBLE_DEVICES :=
export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL := 3

.DELETE_ON_ERROR:
.PHONY: help demo test bench compat lint docs fmt clean

help: ## show what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 8

$(READY): pyproject.toml
	@echo "setting up .venv: a few minutes, the first time"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
		--editable '.[tensorflow,backends,test]'
	@touch $@

demo: $(READY) ## add two classes to a trained classifier, and train on
	@$(BIN)/python demo/digits.py

test: lint ## everything that is checked: style, types, tests
	$(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile

bench: $(READY) ## speed and memory against cp and against a Keras script
	@for name in $(BENCHMARKS); do \
		$(BIN)/python -m benchmarks.$$name || missed=1; echo; \
	done; test -z "$$missed"

compat: $(READY) ## files of real older Keras packages, patched and opened by them (downloads them)
	@$(BIN)/python -m compat

lint: $(READY) ## style, types and the documentation's links
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mkdocs build --strict --quiet

docs: $(READY) ## the documentation, into build/site
	$(BIN)/python -m mkdocs build --strict --quiet

fmt: $(READY) ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove what make made, .venv too
	rm -rf .venv .compat build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
