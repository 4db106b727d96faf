# Everything a developer or a newcomer does with the project. `make` alone lists it.
UV := .tools/bin/uv
PY := .venv/bin/python
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml strategies/*/pyproject.toml tools/*/pyproject.toml))
STAMP := .venv/.ready
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup check format test demo bench bench-backtest new-strategy parity simulation mutants chaos chaos-spine chaos-orders e2e lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything in it, the barque command included

$(UV):
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==0.13.8

$(STAMP): requirements.lock pyproject.toml $(wildcard */*/pyproject.toml) | $(UV)
	@test -x $(PY) || $(UV) venv --quiet --python python3 .venv
	$(UV) pip install --quiet --python $(PY) --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@touch $@

lock: | $(UV) ## resolve requirements.lock anew
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group pyproject.toml:dev \
		$(foreach p,$(PACKAGES),--no-emit-package $$(sed -n 's/^name = "\(.*\)"/\1/p' $p/pyproject.toml)) \
		$(addsuffix /pyproject.toml,$(PACKAGES)) --all-extras -o requirements.lock

check: $(STAMP) ## format, lint, types, import rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

format: $(STAMP) ## put the code into its format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test: $(STAMP) ## every test that belongs to a change
	$(PY) -m pytest -m "not slow" -n 4 --dist loadfile --no-loadscope-reorder

demo: $(STAMP) ## the whole system on this machine, on embedded servers
	.venv/bin/barque demo

new-strategy: $(STAMP) ## NAME=x: write a strategy package that works, with its test
	.venv/bin/barque new-strategy "$(NAME)" && $(MAKE) --no-print-directory setup

chaos-spine: $(STAMP) ## kill every service at random moments of a replay and compare with an undisturbed one
	$(PY) -m pytest -m slow tests/integration/test_chaos_spine.py

chaos-orders: $(STAMP) ## end a live sender at every step, freeze it, halt it, take its stores away; TIMES=20 HALTS=200 FREEZES=20
	$(PY) -m pytest -m slow tests/integration/test_sender_crashes.py tests/integration/test_live_halt.py tests/integration/test_live_stores.py

chaos: chaos-spine chaos-orders ## both

simulation: $(STAMP) ## the whole order path in one process, with faults, from one seed: SEED=1 STEPS=100000
	$(PY) -m tests.simulation --seed $(or $(SEED),1) --steps $(or $(STEPS),100000)

mutants: $(STAMP) ## faults put into the order path on purpose, and which test notices
	$(PY) -m tests.simulation.mutants

e2e: $(STAMP) ## the running system in a browser, and at the simulators of brokers
	$(PY) -m pytest tests/e2e

parity: $(STAMP) ## a real month through the running services and through a backtest, fill by fill
	$(PY) -m pytest -m slow tests/integration/test_gotobi_february_2013.py

bench: $(STAMP) ## measure, and write docs/benchmarks.md
	$(PY) -m benchmarks

bench-backtest: $(STAMP) ## backtests of ours and of others on the same bars, and renew their section of docs/benchmarks.md
	$(PY) -m benchmarks --only backtest --section

clean: ## remove what setup and demo made
	rm -rf .venv .tools .barque
