# Everything here works from a fresh clone with Python 3.11 (or newer) and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGE := src/taximeter/server/page/index.html
PAGE_SOURCES := $(shell find ui/src ui/public ui/index.html ui/package.json ui/package-lock.json ui/vite.config.ts ui/tsconfig.json -type f 2>/dev/null)

# Many servers start in the tests, and each would compile all of its libraries anew where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo test lint type format bench lock page clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run $(PAGE) ## start taximeter (http://127.0.0.1:8787)
	@$(BIN)/taximeter up $(ARGS)

demo: $(VENV)/.run $(PAGE) ## start taximeter with live sample traffic, no account needed
	@$(BIN)/taximeter up --demo $(ARGS)

test: lint type $(PAGE) ## lint, types and all tests
	@$(PYTHON) scripts/ensure_programs.py || true
	$(BIN)/python scripts/page.py test
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff and the rules of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

type: $(VENV)/.dev ## strict types
	$(BIN)/mypy
	@# one folder of tests at a time: each is a place of its own, as for pytest
	@for folder in $(sort $(dir $(wildcard tests/*/*.py))); do echo "mypy $$folder"; $(BIN)/mypy "$$folder"; done

format: $(VENV)/.dev ## put the code into shape
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## ratios against others (see bench/README.md)
	$(BIN)/python -m bench $(ARGS)

page: $(PAGE) ## build the page

lock: $(VENV)/.uv ## write the lock files anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	    --extra demo pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	    --extra demo --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	    --group llama-index pyproject.toml -o requirements/llama-index.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	    --group aiobotocore pyproject.toml -o requirements/aiobotocore.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.12 \
	    --group focus-validator pyproject.toml -o requirements/focus-validator.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	    --group rotel pyproject.toml -o requirements/rotel.txt

clean: ## remove everything that was built
	rm -rf $(VENV) ui/node_modules src/taximeter/server/page dist

# ── what the targets stand on ──────────────────────────────────────────────────────────────────────────────

$(VENV)/.uv: requirements/uv.txt
	@echo "· creating $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.run: $(VENV)/.uv requirements/run.txt pyproject.toml
	@echo "· installing taximeter and what it needs"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "· installing the test tools"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(PAGE): $(VENV)/.run $(PAGE_SOURCES)
	@$(BIN)/python scripts/page.py build
	@touch $@
