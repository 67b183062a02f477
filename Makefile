# `make` says what there is.
.DEFAULT_GOAL := help
.PHONY: help serve test test-api test-ray test-serving test-stores lint bench release-check sbom \
	vulnerabilities

PORT ?= 8000
PYTHON ?= python3
BIN := .venv/bin

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

serve: .venv/serve ## Run the site at http://127.0.0.1:8000 (PORT=9000 for another)
	PORT=$(PORT) $(BIN)/gunicorn wsgi:app

test: .venv/dev ## Check style and types, and run the tests
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-serving: .venv/dev .venv-serving/ready ## Ask a model server that nobody here wrote (KServe's)
	$(BIN)/python -m pytest -m serving tests/test_independent_server.py

test-stores: .venv/dev .venv-stores/ready ## Classify from object stores that nobody here wrote
	$(BIN)/python -m pytest -m stores tests/test_object_stores.py

test-ray: .venv/dev .venv/ray .venv-stores/ready ## Classify on a Ray cluster of two nodes, and kill one (minutes)
	$(BIN)/python -m pytest -m release tests/test_classify_on_ray.py

lint: .venv/dev ## Check style, types, and which package imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	@# What macOS lacks shows without one. Each has its own cache: they would empty each other's.
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin

test-api: .venv/serve .venv-schemathesis/made ## Let Schemathesis try what /openapi.json describes
	$(BIN)/python -m benchmarks.described

sbom: .venv/serve .venv-tools/made ## Write what running needs, as CycloneDX: build/sbom.json
	@mkdir -p build
	.venv-tools/bin/cyclonedx-py environment $(BIN)/python --output-file build/sbom.json

vulnerabilities: .venv-tools/made ## Ask which pinned packages have known faults (needs the network)
	@mkdir -p build
	@# Strict: else a package that no index was asked about passes for one without faults.
	@.venv-tools/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt \
		>build/vulnerabilities.txt 2>&1 && found=0 || found=1; \
	grep -v '^WARNING' build/vulnerabilities.txt | tail -n 40; \
	if [ $$found = 0 ]; then exit 0; fi; \
	if grep -qE 'could not be audited|ConnectionError|Failed to resolve' build/vulnerabilities.txt; then \
		echo 'Nothing was audited: no index of vulnerabilities could be reached, or it lacks the package named above.'; \
		echo 'That says nothing about the packages. Run this where the internet can be reached.'; exit 2; \
	fi; \
	echo 'Pin the versions named above that mend it, in requirements*.txt and constraints.txt, and run the tests.'; exit 1

release-check: .venv/dev ## What takes minutes: every test image, large networks, JAX, determinism
	$(BIN)/python -m pytest -m release

bench: .venv/dev .venv-bench/ready ## Measure what the README claims about speed
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.determinism
	$(BIN)/python -m benchmarks.onednn
	$(BIN)/python -m benchmarks.normalization
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.inference
	$(BIN)/python -m benchmarks.folding
	$(BIN)/python -m benchmarks.batching
	$(BIN)/python -m benchmarks.against_gradio
	$(BIN)/python -m benchmarks.pages

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed: name one with PYTHON=python3.11"; exit 1; }
	@# A half-made environment would pass for a whole one the next time.
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/serve: requirements.txt requirements-site.txt constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ray: requirements-ray.txt constraints.txt .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	@touch $@

.venv-tools/made: requirements-tools.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/pip install --quiet --disable-pip-version-check -r requirements-tools.txt
	@touch $@

.venv-schemathesis/made: requirements-schemathesis.txt
	$(PYTHON) -m venv .venv-schemathesis
	.venv-schemathesis/bin/pip install --quiet --disable-pip-version-check -r requirements-schemathesis.txt
	@touch $@

.venv/dev: requirements-dev.txt requirements-audit.txt requirements-axe.txt requirements-export.txt \
		requirements-jax.txt requirements-limits.txt requirements-parquet.txt requirements-postgresql.txt \
		requirements-signing.txt requirements-tensorboard.txt requirements-tune.txt .venv/serve
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@# Alone: only the copy of axe-core in it is used, and Playwright, which it asks for, is large.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-axe.txt
	@touch $@

# Environments of their own: these ask for other versions than the site does.
.venv-%/ready: requirements-%.txt
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$* || { rm -rf .venv-$*; exit 1; }
	.venv-$*/bin/pip install --quiet --disable-pip-version-check -r requirements-$*.txt
	@touch $@
