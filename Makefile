# One command each: `make demo` shows it, `make test` proves what needs no cluster, `make e2e` the whole.
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

.PHONY: lint
lint: $(VENV)/.ready ## Check style, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/leakwarden e2e tests
	$(BIN)/lint-imports

.PHONY: unit
unit: $(VENV)/.ready ## The fast tests, in under two minutes on two cores; needs no cluster
	$(BIN)/pytest -n auto -m "not slow" tests

# A command to run before the slow tests: CI waits there for helm, which it builds beside the fast ones.
BEFORE_SLOW ?= :

.PHONY: slow
slow: $(VENV)/.ready ## The slow tests: long scenes of the detector, whole operators, charts; needs no cluster
	@$(BEFORE_SLOW)
	$(BIN)/pytest -n auto -m slow tests

.PHONY: test
test: lint unit slow ## All that needs no cluster: lint, fast and slow tests

.PHONY: e2e
e2e: $(VENV)/.ready ## The end-to-end tests on a real cluster (brings one up); BUDGET and RETRY: see e2e/run.sh
	cd e2e/services && go vet ./... && go test ./...
	@BUDGET="$(BUDGET)" RETRY="$(or $(RETRY),1)" e2e/run.sh

.PHONY: gitops
gitops: $(VENV)/.ready ## The GitOps layout applied by Flux's kustomize-controller, which it builds (a quarter of an hour)
	$(PYTHON) -m e2e.cluster up
	$(PYTHON) -m e2e.cluster build flux
	$(BIN)/pytest -v --override-ini=testpaths=e2e/tests e2e/tests/test_gitops_flux.py

.PHONY: argo
argo: $(VENV)/.ready ## Rollouts under the controller of Argo Rollouts, which it builds (a quarter of an hour)
	$(PYTHON) -m e2e.cluster up
	$(PYTHON) -m e2e.cluster build rollouts
	$(BIN)/pytest -v --override-ini=testpaths=e2e/tests e2e/tests/test_argo_rollouts.py

.PHONY: tune
tune: $(VENV)/.ready ## Set the detector's thresholds on composed worlds, against the false-alarm budgets
	$(BIN)/python -m tests.bench.tune

.PHONY: bench
bench: $(VENV)/.ready ## The detector against labelled series and the usual rules; writes its figures into the docs
	$(BIN)/python -m tests.bench --record --curve
	$(BIN)/python -m tests.bench --worlds 20 --seeds 201-202 --curve
	$(BIN)/python -m tests.bench.picture
	$(BIN)/python -m tests.docs

.PHONY: scale
scale: $(VENV)/.ready ## One operator over clusters of up to 150,000 pods; writes its figures into the docs
	$(BIN)/python -m tests.bench.scale --kwok --record
	$(BIN)/python -m tests.bench.scale --record
	$(BIN)/python -m tests.bench.scale --profile 10000 --record
	$(BIN)/python -m tests.bench.scale per-object --record
	$(BIN)/python -m tests.docs

.PHONY: week
week: $(VENV)/.ready ## A week pressed into an hour: churn, leaks and failing sources; writes its figures into the docs
	$(BIN)/python -m tests.bench.scale week --record
	$(BIN)/python -m tests.docs

.PHONY: audit-bench
audit-bench: $(VENV)/.ready ## The audit's CPU time on generated manifests, beside those of kube-score and kube-linter where Go can build them
	$(BIN)/python -m tests.bench.audit

.PHONY: audit-fuzz
audit-fuzz: $(VENV)/.ready ## 20,000 mutations of manifests: none ends in a traceback, in silence or in an unknown exit code
	LEAKWARDEN_FUZZ=20000 $(BIN)/pytest -q -n auto tests/unit/cli/audit/test_fuzz.py

.PHONY: demo
demo: $(VENV)/.ready ## The main job before your eyes: a leaking service is found, evicted and verified
	@$(BIN)/python -m e2e.demo $(if $(RECORD),--record $(RECORD))

.PHONY: docs
docs: $(VENV)/.ready ## Write the generated parts of the documentation from the code
	$(BIN)/python -m tests.docs

.PHONY: pictures
pictures: $(VENV)/.ready ## Draw the pictures of the documentation; installs Chromium where it is missing
	$(BIN)/python -m tests.docs --pictures

.PHONY: crds
crds: $(VENV)/.ready ## Generate crds/ from the models, and the chart's copy of them
	$(BIN)/leakwarden crd -o crds
	cp crds/*.yaml charts/leakwarden/files/crds/
	cp crds/*.yaml examples/gitops/crds/

.PHONY: cluster-up
cluster-up: ## Bring a cluster up: kind, your KUBECONFIG, or a local node without an engine
	@$(PYTHON) -m e2e.cluster up

.PHONY: cluster-down
cluster-down: ## Take it down again and leave nothing behind
	@$(PYTHON) -m e2e.cluster down

.PHONY: cluster-status
cluster-status: ## Show each part of it
	@$(PYTHON) -m e2e.cluster status

.PHONY: image
image: ## Build the operator's image as an OCI archive, without a container engine
	@$(PYTHON) -m e2e.images build operator

.PHONY: clean
clean: ## Remove what make made in this tree
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
