# Everything a person or CI does with this project. `make run` and `make test` set themselves up on a fresh checkout.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := app.py studio pipelines queue_backend bench tests

TEST_PROCESSES ?= 2
# A file stays in one process, so that its tests share what it starts; files begin in this order.
SUITE = $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
	tests/test_architecture.py tests/unit tests/integration tests/faults tests/browser

.PHONY: run test test-postgres check format bench bench-full showcase clean

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "This needs Python 3.11: install it, or name yours with 'make PYTHON=...'."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

run: $(VENV)/.runtime  ## start the studio on http://127.0.0.1:7860 with the demo models
	STUDIO_MODELS=$${STUDIO_MODELS:-demo} $(BIN)/python app.py

test: $(VENV)/.dev  ## the whole suite, fast tests first, a real browser last
	@sh tests/ensure_chromium.sh $(BIN)/python
	$(SUITE)

test-postgres: $(VENV)/.dev  ## the same suite, with PostgreSQL wherever a test does not name its database
	@sh tests/ensure_chromium.sh $(BIN)/python
	TEST_DATABASE=postgresql $(SUITE)

check: $(VENV)/.dev  ## format, lint, types, import arrows
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## write the format and the fixes that are safe
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(VENV)/.dev  ## measure, print a table, write bench/results.json
	$(BIN)/python -m bench

bench-full: $(VENV)/.dev  ## the published models at full size with random weights, into bench/full.json
	$(BIN)/python -m bench.full

showcase: $(VENV)/.dev  ## one job of each type with the demo models, into docs/ten_types.md
	$(BIN)/python -m bench.showcase

clean:  ## remove the environment and caches; never data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
