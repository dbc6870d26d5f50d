# What one types here. The first use of any target makes .venv and installs what constraints.txt pins.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo dev test integration soak lint types bench bench-detection bench-local-datadog format clean lock

help:  ## these words
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/installed  ## recorded hearts through Kafka, Dagster and detection to alerts
	@$(BIN)/pettwin demo

dev: .venv/installed  ## the local parts and the Dagster UI on port 3000, until Ctrl-C
	@$(BIN)/pettwin up --dagster

test: .venv/installed  ## the tests that need nothing but Python
	@$(BIN)/pytest -q -m 'not integration and not install'

integration: .venv/installed  ## a real Apache Kafka, the wheel in a fresh environment
	@$(BIN)/pytest -q -m 'integration or install'

soak: .venv/installed  ## kill -9 at random times: MINUTES=10 SEED=7
	@$(BIN)/python -m pettwin_pipeline_tests.integration.soak $(MINUTES:%=--minutes %) $(SEED:%=--seed %)

lint: .venv/installed  ## ruff and the import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports
	@echo "lint: clean"

types: .venv/installed  ## mypy, strict, tests too
	@$(BIN)/mypy

.venv-peers/installed: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

bench: .venv/installed .venv-peers/installed  ## the benchmarks: ratios within one run
	@$(BIN)/python benchmarks/run.py

bench-detection: .venv/installed  ## what the detector finds, and how fast: ten minutes
	@$(BIN)/python benchmarks/detection.py

bench-local-datadog: .venv/installed  ## what the local Datadog takes, answers and keeps: three minutes
	@$(BIN)/python benchmarks/local_datadog.py
	@$(BIN)/python benchmarks/monitor_rounds.py

format: .venv/installed  ## let ruff format
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .

lock: .venv/installed  ## resolve pyproject.toml anew into constraints.txt
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	  --extra dev --extra gcp --extra postgres --no-header --no-annotate --no-emit-index-url -o constraints.txt

clean:  ## remove .venv, caches and the state folder
	rm -rf .venv .venv-peers .pettwin .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
