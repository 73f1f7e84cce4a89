# Two commands for a newcomer: `make demo` runs the main job, `make test` the tests. Python 3.11 to 3.13 and make suffice
# (Debian and Ubuntu: with python3-venv). What is installed comes in three parts, each when it is first needed.
SHELL := /bin/bash
# The first that runs: a name on the PATH may be a version manager's that has no such Python chosen.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c "" 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# The ffmpeg program comes from the PATH, or, where there is none, from a pip package that ships it; tests have both.
FFMPEG_EXTRA := $(shell command -v ffmpeg >/dev/null || echo ,ffmpeg)
# Where torch and torchvision come from, if not from the package index, whose builds for Linux bring CUDA's libraries.
TORCH_INDEX ?=
OUT ?= out/demo
# What the targets below and .ci/matrix write; `clean` removes it.
MADE := $(addprefix out/,demo site gpu matrix)
# Three on two cores: tests on Ray and of outages wait more than they work.
WORKERS ?= 3
# A file at a time to each worker, in the order of the folders: tests/e2e has the longest files, and one of them begun last
# would leave the other workers idle to the end. pytest-xdist by itself begins with the files of many tests.
BY_FILE := --dist loadfile --no-loadscope-reorder
export PYTHONSAFEPATH := 1
# tests/ and bench/ are not installed: `python -m` finds them in this folder.
HERE := PYTHONSAFEPATH=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# setuptools warns, in a frame of stars, that folders here have the names of our packages: they are the packages.
QUIETLY := PYTHONWARNINGS="ignore:Editable installation"

.PHONY: help install demo lint test test-long gpu bench docs witnesses test-mutations clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed ## a venv in .venv with everything in it

# Half of an installation is compiling modules. For the demo, Python compiles those that it imports, once, where it may
# keep them; tests import nearly all.
LATER := $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
PIP_INSTALL := $(BIN)/python -m pip install -c constraints.txt
TORCH_FIRST = $(if $(TORCH_INDEX),$(PIP_INSTALL) --no-deps --index-url $(TORCH_INDEX) torch torchvision)

$(BIN)/pip:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "this needs Python 3.11, 3.12 or 3.13, and $(or $(PYTHON),python3) is none of them: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) has no venv: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(LATER) --upgrade pip

$(VENV)/.pipeline: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "the pipeline is installed into $(VENV): 0.5 GB from the package index, 1.5 GB on the disk"
	$(QUIETLY) $(PIP_INSTALL) $(LATER) --quiet --editable '.[pipeline$(FFMPEG_EXTRA)]'
	touch $@

$(VENV)/.train: $(VENV)/.pipeline
	@echo "the trainer is installed into $(VENV): $(if $(TORCH_INDEX),0.3,2.8) GB more to fetch, some minutes"
	$(TORCH_FIRST)
	$(QUIETLY) $(PIP_INSTALL) $(LATER) --editable '.[pipeline,train$(FFMPEG_EXTRA)]'
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "everything is installed into $(VENV): $(if $(TORCH_INDEX),0.9,3.5) GB from the package index"
	$(TORCH_FIRST)
	$(QUIETLY) $(PIP_INSTALL) --editable '.[pipeline,train,s3,dev,ffmpeg]'
	touch $(VENV)/.pipeline $(VENV)/.train $@

demo: $(VENV)/.pipeline ## the main job on the embedded mini-YouTube, into out/demo, then a short training
	$(BIN)/hdvila-pipeline demo --out $(OUT)
	@echo
	@echo "Look at:  $(OUT)/report/index.html            the audit: balance, what was rejected and why, samples"
	@echo "          $(OUT)/shards/train/00000.tar       clips with their sentences (tar -tf lists them)"
	@echo
	@$(MAKE) --no-print-directory $(VENV)/.train
	$(BIN)/hdvila-train fit train/starts/demo.yaml --set data.manifest=$(OUT)/manifest.json --set out=$(OUT)/train
	@echo
	@echo "Look at:  $(OUT)/train/summary.json           how well a text finds its clip after this short training"
	@echo "Next:     $(BIN)/hdvila-pipeline init folder  a configuration for videos of your own"

lint: install ## ruff, mypy, and the rules of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy manifests pipeline train miniyoutube hdvila_testing
	$(BIN)/lint-imports --no-cache

test: lint ## lint, and all tests but the long ones and those that need a GPU
	$(BIN)/python -m pytest -n $(WORKERS) $(BY_FILE) -m "not long and not gpu"

test-long: install ## stops at every moment, large crawls, models at full size (12 GiB), foreign readers from the registry
	$(BIN)/python -m pytest -n $(WORKERS) $(BY_FILE) -m "long and not gpu"

gpu: install ## ten minutes: the tests that need a CUDA device, and a page of speed, memory and MFU (toy runs without one)
	$(HERE) $(BIN)/python -m bench.gpu --out $(dir $(OUT))gpu
	$(BIN)/python -m pytest -m gpu

# Each bench at a size of a minute or two, beside its peer. bench.scenes and bench.learning take films or an hour.
BENCHES := loader cut video_hour text duplicates scale
SMALL_loader := --fps 24 --clips 3 --seconds 4 --segments 1 --samples 6 --rounds 1
SMALL_cut := --minutes 1
SMALL_video_hour := --rounds 1
SMALL_duplicates := --half held --films 0 --seconds 5
SMALL_scale := --sizes 300 1000 3000

bench: $(addprefix bench-,$(or $(ONLY),$(BENCHES))) ## what things cost, small, beside what others do; ONLY=loader for one

bench-%: install
	$(HERE) $(BIN)/python -m bench.$* $(SMALL_$*)

docs: install ## the pages of docs/ as a site in out/site; a dead link is an error
	$(BIN)/mkdocs build --strict

witnesses: install ## fixed cases of every command: each fact of their outputs against the committed hashes, some minutes
	$(HERE) $(BIN)/python -m tests.witness

test-mutations: install ## 60 small errors put into the committed code by a seed: how many do the nearest tests notice?
	$(HERE) $(BIN)/python -m bench.mutate --jobs $(WORKERS)

# out/ is also where people's own runs are: what is removed has a name that make gave it.
clean: ## what make itself made: the demo, its caches; never another folder of out/
	rm -rf $(MADE) .pytest_cache .mypy_cache .ruff_cache
