# gatesid: `make demo` and `make test` are the two commands to know. Everything made lies under var/.
# An unfit machine is told so, every fault at once, before anything is downloaded.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = GATESID_CHECKOUT="$(CURDIR)" && . infra/env.sh &&
PY = $(RUN) var/venv/bin/python
GATESID = var/venv/bin/gatesid
measure = $(RUN) for name in $(1); do echo "$$name"; PYTHONPATH=. var/venv/bin/python "tests/benchmarks/bench_$$name.py" || exit 1; done
SLOW = spark or kafka or airflow or feast or gx or e2e or browser or tf
.DEFAULT_GOAL := help
.PHONY: demo test test-fast lint type bench bench-scale up down status clean help setup jars

demo: jars  ## from a fresh clone to a served, maturity-gated score, live, with a report
	@$(GATESID) demo

test: jars  ## every test
	@$(PY) -m pytest

test-fast: setup  ## without Spark, Kafka, Airflow, Feast, Great Expectations and TensorFlow
	@$(PY) -m pytest -m "not ($(SLOW))"

lint: setup  ## ruff
	@$(PY) -m ruff check .

type: setup  ## mypy, strict on features, streaming and serving
	@$(PY) -m mypy

bench: jars  ## measurements of minutes; they assert nothing about time
	@$(call measure,quantise sid rankers rank stream freshness)

bench-scale: jars  ## measurements at full size, an hour and more
	@$(call measure,audit load point_in_time co_click sid_cluster new_items)

up: jars  ## start the local stack and print its addresses
	@$(GATESID) up

down:  ## stop what was started
	@if [ -x $(GATESID) ]; then $(GATESID) down; fi

status:  ## what runs where
	@$(GATESID) status

clean: down  ## stop the stack and delete var/: environment, caches, data, models
	rm -rf var

setup:  # the environment, once
	@infra/setup.sh "$(PYTHON)"

jars: setup  # Kafka's and Delta's, once
	@$(PY) -m infra.jars

help:  ## this
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo "Python: $(PYTHON) (make PYTHON=… for another). State: var/, or GATESID_HOME."
