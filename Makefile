# Everything a newcomer needs: `make demo`, `make test`. Each target installs what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin
REAL := $(or $(EPIFILL_REAL_DATA),../shared/data)
SAMPLE := $(if $(wildcard $(REAL)/roadmap_pilot),$(REAL)/roadmap_pilot,demo-output/simulated)

.PHONY: install demo serve test test-slow check bench lock clean

install: .venv/installed

.venv/installed: pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Epifill needs Python 3.11 or newer; set PYTHON=python3.11")'
	@echo 'Installing into .venv; this takes a minute or two'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: install
ifeq ($(wildcard $(REAL)/roadmap_pilot),)
	@$(BIN)/python -m training simulate --out $(SAMPLE) --region chr21:33,746,325-35,442,375
endif
	@$(BIN)/epifill demo --sample $(SAMPLE)

serve: install
	@$(BIN)/epifill serve

test: install
	$(BIN)/python -m pytest

test-slow: install
	$(BIN)/python -m pytest -m slow

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

bench: install
	$(BIN)/python -m benchmarks

# Renew the locks after a change of pyproject.toml.
COMPILE := $(BIN)/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url --no-emit-find-links --no-header
lock: install
	$(COMPILE) --extra postgres -c requirements/both.txt --generate-hashes --output-file requirements/service.lock pyproject.toml
	$(COMPILE) --extra postgres --extra train --extra dev -c requirements/service.lock -c requirements/torch.txt --output-file requirements/dev.lock pyproject.toml
	sed -i 's/+cpu$$//' requirements/dev.lock

clean:
	rm -rf .venv demo-output
