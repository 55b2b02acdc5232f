# A new user's two commands are `make repro` and `make test`. Each makes .venv first, from the hash-pinned lock.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# The tables that the repository carries itself (data/bundled); a user's own data is not fetched unasked.
BUNDLED := $(patsubst %.dvc,%,$(shell grep -ls 'remote: bundled' data/raw/*.dvc))

# What few need: each a target, and a lock of its own.
SCALE := $(VENV)/scale
SERVE := $(VENV)/serve
SOURCES := $(VENV)/sources
NOTEBOOKS := $(VENV)/notebooks
DOCS := $(VENV)/docs

.PHONY: help venv scale serve sources notebooks repro leftovers report sweep summary test test-all check format schema lock pages docs clean

help:
	@echo "make repro    build what changed, from the data to the metrics (dvc repro), and show the result"
	@echo "make report   the same, then open the reports of all problems (reports/index.html); beside them reports/plots.html"
	@echo "make sweep    PROBLEM=NAME: try every model type, ranked by cross-validation"
	@echo "make test     run the tests: a few minutes"
	@echo "make test-all the same and more of each (kills, polluted files, simulated processors, long pages), as CI does"
	@echo "make check    lint, types, settings"
	@echo "make scale    install what computes folds on a cluster (docs/scale.md)"
	@echo "make serve    install what serves a model over HTTP (docs/serving.md)"
	@echo "make sources  install what reads Excel workbooks and a PostgreSQL database (docs/own-data.md)"
	@echo "make notebooks install what runs notebooks (docs/python.md)"
	@echo "make venv     only make $(VENV); then: source $(VENV)/bin/activate"
	@echo "make format   format the code"
	@echo "make schema   params.schema.json anew, after a change of settings: what editors complete and check params.yaml by"
	@echo "make lock     resolve pyproject.toml anew into requirements.lock and versions.toml; then: make venv"

# The check first: DVC reads settings before the stages do, and puts the problems' names into commands.
repro: $(READY) leftovers $(BUNDLED)
	@python -m lockstep check
	@python -m lockstep repro
	@python -m lockstep summary

# What a killed run may have left in the way of the next one: DVC cannot mend that itself.
leftovers: $(READY)
	@python -m lockstep doctor --leftovers --fix

report: repro
	@python -m lockstep plots
	@python -m lockstep index --open

sweep: $(READY) $(BUNDLED)
	python -m lockstep sweep $(or $(PROBLEM),$(error say which problem of params.yaml: make sweep PROBLEM=NAME)) $(ARGS)

# A worker more than CI has cores: some tests wait for servers, locks and time limits.
PYTEST := python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

test: $(READY) $(BUNDLED)
	$(PYTEST) -m "not exhaustive" $(ARGS)

test-all: $(READY) $(SCALE) $(SERVE) $(SOURCES) $(NOTEBOOKS) $(BUNDLED)
	$(PYTEST) $(ARGS)

check: $(READY)
	ruff check .
	ruff format --check .
	mypy
	python -m lockstep check

# Lockstep's own: a repository that 'new' made has the pages, and not what makes them.
ifneq ($(wildcard publishing),)
# 'pages': docs/commands.md and the picture of a report (needs Chromium: .ci/install). 'docs': the site, site/html.
pages: repro
	python -m publishing.commands_page
	python -m publishing.report_picture

docs: $(READY) $(DOCS)
	python -m publishing.site
	zensical build --clean --strict
endif

format: $(READY)
	ruff check --fix .
	ruff format .

venv: $(READY)

scale serve sources notebooks: %: $(VENV)/%

# Beside what is there already.
$(SCALE) $(SERVE) $(SOURCES) $(NOTEBOOKS) $(DOCS): $(VENV)/%: requirements-%.lock $(READY)
	@if [ -x $(VENV)/bin/pip ]; then \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	else \
	  uv pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r $<; \
	fi
	@touch $@

# uv where it is installed, else pip; either checks the hashes and compiles to bytecode (stages start 3 s sooner for it).
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	  || { echo "Python 3.11 to 3.14 is needed; '$(PYTHON)' is $$($(PYTHON) --version). Type: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 4; }
	@rm -rf $(VENV)
	@echo "Installing the libraries of requirements.lock into $(VENV), once: a minute or two."
	@if command -v uv >/dev/null; then set -e; \
	  uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	  uv pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r requirements.lock; \
	else set -e; \
	  $(PYTHON) -m venv $(VENV); \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi
# DVC's database of what it has hashed: here, not in /var/tmp/dvc, where others may write. DVC's settings can hold ASCII
# alone: below a folder whose name has more than that, the database gets a folder of its own in /var/tmp.
	@site="$$PWD/.dvc/tmp/site"; \
	  if printf %s "$$site" | LC_ALL=C grep -q '[^ -~]'; then site=$$(mktemp -d /var/tmp/lockstep.XXXXXXXX); fi; \
	  $(VENV)/bin/dvc config --local core.site_cache_dir "$$site"
	@$(VENV)/bin/python -m lockstep versions --write
	@touch $@

# Only what is absent: an edited table is the user's.
data/raw/%: | $(READY) leftovers
	dvc pull --quiet --remote bundled $@.dvc

# Where editors find what params.yaml may hold.
schema: $(READY)
	python -c 'import json; from lockstep.intake.problems.settings_reference import schema; print(json.dumps(schema(), indent=1))' \
	  > params.schema.json

lock: $(READY)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) pyproject.toml --group dev --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) --group scale --constraint requirements.lock --output-file requirements-scale.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) --group serve --constraint requirements.lock --output-file requirements-serve.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) --group sources --constraint requirements.lock --output-file requirements-sources.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) --group notebooks --constraint requirements.lock --output-file requirements-notebooks.lock
ifneq ($(wildcard publishing),)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  $(ARGS) --group docs --constraint requirements.lock --output-file requirements-docs.lock
endif
	@$(VENV)/bin/python -m lockstep versions --write

clean:
	rm -rf $(VENV) logs dvc_plots site .cache .mypy_cache .pytest_cache .ruff_cache
