# drift-bus: `make` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
PYTHON ?=
ARGS ?=

# A shell may have a SECONDS of its own; only one that somebody gave counts.
GIVEN_SECONDS := $(if $(filter command environment,$(firstword $(origin SECONDS))),$(SECONDS))

# What was given on the command line also sits in MAKEFLAGS; a program that we start does not need to know.
WITHOUT_MAKE := unset MAKEFLAGS MFLAGS MAKEOVERRIDES;

# Tests and demo start our programs hundreds of times: compiled once, they start sooner.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test test-cluster lint format bench demo run docs clean require-rpc-url

help: ## list the targets
	@echo "drift-bus: make <target>"
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name text; do printf '%-13s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## make .venv with all that is needed (PYTHON=python3.12 to choose)

$(STAMP): constraints.txt pyproject.toml scripts/setup
	@PYTHON='$(PYTHON)' bash scripts/setup $(VENV)

# Another interpreter than the last time means another environment.
ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -V 2>&1),$(shell $(BIN)/python -V 2>&1))
.PHONY: $(STAMP)
endif
endif

test: setup ## lint, types, then every test (ARGS='-k feed' for some of them)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 8 --dist worksteal $(ARGS)

test-cluster: setup ## of the tests those on three nats-servers with three copies
	$(BIN)/python -m pytest -n 3 -m cluster $(ARGS)

lint: setup ## lint and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure the promises (ARGS=… is passed on)
	$(BIN)/python -m benchmarks $(ARGS)

demo: setup ## everything on this machine, no network, no key (SECONDS=60 to end by itself)
	@$(WITHOUT_MAKE) exec $(BIN)/drift-bus up --demo $(if $(GIVEN_SECONDS),--seconds $(GIVEN_SECONDS)) $(ARGS)

# The URL holds an API key: it travels through the environment, and no recipe line spells it out.
run: require-rpc-url setup ## the same against a real endpoint: RPC_URL=https://… (WS_URL=wss://… NATS_URL=nats://…)
	@if [ -n "$$RPC_URL" ]; then export DRIFT_BUS_RPC_URL="$$RPC_URL"; fi; \
	if [ -n "$$WS_URL" ]; then export DRIFT_BUS_WS_URL="$$WS_URL"; fi; \
	if [ -n "$$NATS_URL" ]; then export DRIFT_BUS_NATS_URL="$$NATS_URL"; fi; \
	unset RPC_URL WS_URL NATS_URL; $(WITHOUT_MAKE) exec $(BIN)/drift-bus up $(ARGS)

require-rpc-url:
	@if [ -z "$$RPC_URL$$DRIFT_BUS_RPC_URL" ] && ! grep -qs '^ *DRIFT_BUS_RPC_URL=.' .env; then \
		echo "run: no endpoint; say make run RPC_URL=https://…, or put DRIFT_BUS_RPC_URL into .env" >&2; exit 2; fi

docs: setup ## write the JSON Schemas, the AsyncAPI document and the page of settings again
	$(BIN)/python -m drift_schemas.docs docs/
	$(BIN)/python -m drift_bus.settings_page docs/

clean: ## remove .venv, caches and builds
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
