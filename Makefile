# make demo   the whole loop on real parts, from a bare machine with Python 3.11-3.13, git and make
# make test   set up and run the tests        make lint   formatting, types, floors, compose file
# make up     leave the stack running         make down   stop it, and only it

PYTHON ?= $(shell for v in python3.11 python3.12 python3.13 python3; do \
	$$v -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo $$v; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo up down status test test-slow lint format docs lock clean

$(VENV)/.demo: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11-3.13 found. Install one, or: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/ftcore demo

up: $(VENV)/.demo
	$(BIN)/ftcore up

down: $(VENV)/.demo
	$(BIN)/ftcore down

status: $(VENV)/.demo
	$(BIN)/ftcore status

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	$(BIN)/python scripts/make_spec_reference.py --check
	for spec in dags/specs/*.yaml; do $(BIN)/ftcore spec check $$spec || exit; done

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python scripts/make_spec_reference.py

lock: $(VENV)/.dev
	$(BIN)/python scripts/lock.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
