# `make demo` runs the main job, `make test` the tests; both do all the set-up themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
UV := uv==0.13.8

.PHONY: demo test test-peers test-cluster test-long lint types layers check clean

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Homeport needs Python 3.11 or newer")'
	@test -x $(BIN)/uv || { $(PYTHON) -m venv --clear .venv && $(BIN)/pip install --quiet --disable-pip-version-check $(UV); }
	@VIRTUAL_ENV=.venv $(BIN)/uv sync --quiet --locked --all-extras
	@touch $@

demo: $(READY)
	@$(BIN)/python -m demo.main_job

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 -m "not peers and not long"

test-peers: $(READY)
	bash tests/peers/install.sh
	$(BIN)/python -m pytest -q -m "peers and not cluster and not long"

test-cluster: $(READY)
	bash tests/peers/install.sh
	$(BIN)/python -m pytest -q -m "cluster and not long"

test-long: $(READY)
	bash tests/peers/install.sh
	$(BIN)/python -m pytest -q -m long

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

check: lint types layers

clean:
	rm -rf .venv
