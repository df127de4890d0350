# Everything a newcomer needs: Python 3.11 or newer with pip and venv, git, make.
#
#   make characterize    record what the reference services do, on fakeredis, and say what was seen
#   make test            everything that CI asks
#   make check           compare the reference services with their approved baselines
#   make laws            write the law matrix of the approved baselines into ARCHITECTURE.md
#   make figures         the benchmarks, side by side

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= auto
PACKAGES := engine simulator characterization reports
OUT ?= build/characterization

.DEFAULT_GOAL := characterize
.PHONY: characterize test check laws figures lint types arrows tests clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

characterize: .venv/installed
	rm -rf $(OUT)
	$(BIN)/holdfast record --baselines $(OUT)

check: .venv/installed
	$(BIN)/holdfast check

laws: .venv/installed
	$(BIN)/holdfast laws relay --into ARCHITECTURE.md

test: lint types arrows tests check

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

arrows: .venv/installed
	$(BIN)/lint-imports

# Branch coverage, of worker processes too; the gate is for each package by itself.
tests: .venv/installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal
	$(BIN)/coverage combine --quiet
	for package in $(PACKAGES); do \
	    $(BIN)/coverage report --include="$$package/*" --skip-covered --skip-empty --fail-under=95 || exit 1; \
	done

figures: .venv/installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build .holdfast .coverage* .hypothesis *.egg-info
