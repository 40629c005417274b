# Needs Python 3.11 or newer and make; everything else goes into .venv. Start with `make help`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
QUICK  ?=
OUT    ?= out

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/pip --disable-pip-version-check --quiet

# stamps: an environment that is up to date is not looked at again
DATA := $(VENV)/.installed-data
DEV  := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench

comma := ,
.DEFAULT_GOAL := help
.PHONY: help run test test-all check bench clean

help: ## what can be made
	@echo "make TARGET [PYTHON=python3.11] [QUICK=1]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(firstword $(MAKEFILE_LIST)) | awk '{ t = $$1; $$1 = ""; printf "  %-10s%s\n", t, $$0 }'

run: $(DATA) ## reproduce Figure 1 into out/, with its claims checked (QUICK=1: fewer seeds)
	@$(BIN)/saddlescope reproduce figure-1 --out "$(OUT)" $(if $(filter-out 0,$(QUICK)),--quick); code=$$?; \
	test ! -f "$(OUT)/report.html" || \
	echo "Look at $(OUT)/report.html (pictures and claims) and $(OUT)/claims.json (the same claims as data)."; \
	exit $$code

test: $(DEV) ## the tests, with the shorter lists
	$(BIN)/pytest -n 2 --dist loadfile -m "not full"

test-all: $(DEV) ## all tests at full count
	$(BIN)/pytest -n 2 --dist loadfile

check: $(DEV) ## style, types and the layer rule
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/pytest tests/test_layers.py

bench: $(BENCH) ## how fast and how exact beside everybody else (half an hour; QUICK=1: a few minutes)
	$(BIN)/python benchmarks/run.py $(if $(filter-out 0,$(QUICK)),--quick)

clean: ## remove the environment and caches; results in out/ stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# the build backend first, at its locked version: pip would otherwise fetch the newest for the build alone
define install
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: none found. Say which with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) does not run, or is older than Python 3.11. Say which to use with PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing saddlescope[$(1)] into $(VENV) (a few minutes the first time)"
	@$(PIP) install -c requirements.lock hatchling editables
	@$(PIP) install -c requirements.lock --no-build-isolation -e '.[$(1)]'
	@touch $@
endef

$(DATA): requirements.lock pyproject.toml
	$(call install,data)

$(DEV): requirements.lock pyproject.toml
	$(call install,data$(comma)dev)

$(BENCH): requirements.lock pyproject.toml
	$(call install,data$(comma)dev$(comma)bench)
