# Two commands for a newcomer: `make demo` runs the main job, `make test` the tests. Python 3.11 or 3.12 and make suffice.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# The ffmpeg program comes from the PATH, or, where there is none, from a pip package that ships it.
FFMPEG_EXTRA := $(shell command -v ffmpeg >/dev/null || echo ,ffmpeg)
OUT ?= out/demo
WORKERS ?= 2
export PYTHONSAFEPATH := 1

.PHONY: demo test test-fast test-full test-foreign lint install clean help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed ## a venv in .venv with everything in it

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[pipeline,train,s3,dev$(FFMPEG_EXTRA)]'
	touch $@

demo: install ## the main job on the embedded mini-YouTube, into out/demo, then a short training
	$(BIN)/hdvila-pipeline demo --out $(OUT)
	$(BIN)/hdvila-train fit configs/train_demo.yaml --set data.manifest=$(OUT)/manifest.json --set out=$(OUT)/train
	$(BIN)/hdvila-train eval $(OUT)/train
	@echo "The audit is in $(OUT)/report/index.html"

lint: install ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy manifests pipeline train

test: lint ## all tests that need no GPU and no venv of their own
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not full and not foreign and not gpu"

test-fast: install ## under two minutes, for use while working
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not full and not foreign and not gpu"

test-full: install ## the reference model at full size (12 GiB of memory, some minutes)
	$(BIN)/python -m pytest -m full

test-foreign: install ## foreign readers and rivals, each in a venv of its own
	$(BIN)/python -m pytest -m foreign

clean: ## what the demo and the tests made
	rm -rf out .pytest_cache .mypy_cache .ruff_cache
