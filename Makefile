# One command each: `make demo` shows it, `make test` proves the fast part, `make e2e` the whole.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help
help: ## Show what there is to run
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml operator/requirements.lock operator/requirements-dev.lock
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r operator/requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(VENV)/.ready ## Install the pinned dependencies into .venv
