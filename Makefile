# Set-up in two commands: `make demo` and `make test` work in a fresh clone on a machine with Python 3.11+ and make.
# Each step leaves a stamp in the venv, so the second call is quick. PYTHON=... picks another interpreter.
SHELL := /bin/bash
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
DEMO ?= build/demo
QUICK := floor,seglake,polars,duckdb_case

.PHONY: help setup java browser demo test lint soak bench bench-quick bench-models wheel zip lock clean
.DEFAULT_GOAL := help

help:  ## what this file can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 8

setup: java $(STAMPS)/jars  ## venv, pinned packages, Spark's jars, and a Java runtime when it is missing

java:
	@scripts/java.sh

browser:
	@scripts/browser.sh

$(STAMPS)/venv: scripts/venv.sh
	scripts/venv.sh $(VENV) $(PYTHON)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/packages: requirements.txt $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -r requirements.txt
	@touch $@

$(STAMPS)/project: setup.py $(STAMPS)/packages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Spark's own resolver brings the jars of Delta once; every later session finds them in its cache.
$(STAMPS)/jars: $(STAMPS)/project | java
	$(BIN)/seglake doctor --machine
	@touch $@

demo: setup  ## CDNOW and generated events, two consecutive dates, and the segments that come out
	$(BIN)/seglake demo $(DEMO)

# Two workers, each with a Spark session of its own: one plans on the driver while the other computes.
test: setup browser  ## every test; the last line is pytest's own summary
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

soak: setup  ## the long random comparisons and repeated kills that `make test` runs only in short
	$(BIN)/python -m pytest -m soak $(TESTS)

bench: setup  ## the measured work of benchmarks/, peers side by side; resumes where it stopped
	$(BIN)/python -m benchmarks --document docs/benchmarks.md

bench-quick: setup  ## the same on a small shop, with the ways that are quick
	$(BIN)/python -m benchmarks --events 500000 --customers 25000 --definitions 100,1000 --ways $(QUICK)

bench-models: setup  ## the models beside lifetimes and the rules a shop would use
	$(BIN)/python -m benchmarks.models

lint: setup  ## the rules of the code that need no Spark
	$(BIN)/python -m compileall -q segment_lib models jobs
	$(BIN)/python -m pytest -q tests/test_architecture.py

wheel: $(STAMPS)/packages  ## dist/seglake-VERSION-py3-none-any.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

zip: $(STAMPS)/packages  ## dist/seglake.zip, for spark-submit --py-files (Spark takes no wheel there)
	$(BIN)/python scripts/pack.py dist/seglake.zip

lock: $(STAMPS)/packages  ## requirements.txt anew from the venv, after an upgrade that was tested
	$(BIN)/python scripts/lock.py > requirements.new && mv requirements.new requirements.txt

clean:  ## everything that was made here, the venv too
	rm -rf $(VENV) build dist seglake.egg-info .pytest_cache .hypothesis spark-warehouse
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
