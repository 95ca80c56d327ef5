# make demo      a prompt that fails over, for real, to the embedded model; no key needed
# make check     lint, types, import rules and the tests of what decides and acts: under a minute
# make test      everything but what is slow: as well the tests of files, faults, notebooks, a browser and acceptance
# make clients   the part of it in which the services' own clients ask the mocks that the forms are held to
# make slow      what takes minutes: the long soak, how costs grow, the benchmarks, the oldest IPython, thorough properties
# make servers   the tests of shared facts with Redis 6.0 and with Valkey
# make versions  a quick part of the tests on each Python found, with the oldest and the newest allowed packages
# make lab       JupyterLab on the quickstart notebook
# make docs      what is made from the code, and the pages of the documentation as a site
# make bench     what all of it costs, against other clients, each of which is installed in an environment of its own

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

# The first Python of at least 3.11; a shim that is on PATH but does not run does not count.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

.PHONY: demo check test slow lab lint types quick model unit outside browser notebooks soak thorough servers oldest clients docs bench versions clean

demo: $(VENV)/.demo
	@$(BIN)/llx demo

# Jupyter refuses to serve root unless it is told to. LAB_FLAGS is for more, such as LAB_FLAGS='--no-browser --port 9999'.
AS_ROOT := $(shell test "$$(id -u)" != 0 || echo --allow-root)
LAB_FLAGS ?=
lab: $(VENV)/.lab
	@$(BIN)/llx local pull
	@echo "JupyterLab opens on notebooks/quickstart.ipynb; end it with Ctrl-C twice."
	@$(BIN)/jupyter lab $(AS_ROOT) $(LAB_FLAGS) notebooks/quickstart.ipynb

check: lint types quick
	@echo "make check: all passed"

# The parts that run beside each other wait for servers, kernels and a browser most of their time.
test: lint types
	@$(MAKE) --no-print-directory -j 2 $(TOGETHER) unit outside
	@echo "make test: all passed"

slow: soak oldest thorough servers
	@echo "make slow: all passed"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/make_docs.py --check
	$(BIN)/python scripts/check_notebooks.py

types: $(VENV)/.test
	$(BIN)/mypy

# More tests at a time than a small machine has processors: half of their time they wait for servers, kernels and clocks.
PYTEST := $(BIN)/python -m pytest
SEVERAL := -n 3 --dist worksteal
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

quick: $(VENV)/.test
	$(PYTEST) $(SEVERAL) -m "not slow and not model" tests/core tests/engine tests/settings tests/commands

model: $(VENV)/.test
	@$(BIN)/llx local pull

unit: model
	$(PYTEST) $(SEVERAL) -m "not slow" tests --ignore tests/browser --ignore tests/clients

# What drives the browser keeps an event loop running in its process, so these tests have a process of their own.
# A test that fails for a browser or a server that did not come up is tried once more, and named as such.
# The two notebooks that run in real time, and whose outputs are redrawn, run in tests/test_streaming_notebooks.py.
outside: browser notebooks clients

browser: model
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		echo "NOT RUN: the browser tests, for want of chromium: apt-get install chromium"
	$(PYTEST) --reruns 1 -r R tests/browser

notebooks: model
	TZ=UTC $(PYTEST) --nbval --nbval-current-env \
		--ignore notebooks/background.ipynb --ignore notebooks/dashboard.ipynb notebooks

# The services' own clients against the mocks that the forms are held to; half a minute, and as much to install them once.
clients: $(VENV)/.clients
	$(PYTEST) tests/clients

soak: $(VENV)/.test
	$(PYTEST) -m slow tests

thorough: $(VENV)/.test
	$(PYTEST) $(SEVERAL) --hypothesis-profile thorough -m "not slow" tests/core tests/engine

servers: $(VENV)/.test
	$(BIN)/python scripts/servers.py

# The same magics on the oldest IPython that is supported; the rest of the environment stays as it is.
OLDEST := 8.12.3
oldest: export PYTHONPATH := $(CURDIR)/$(VENV)/ipython-$(OLDEST)
oldest: $(VENV)/.oldest
	@$(BIN)/python -c "import IPython; assert IPython.__version__ == '$(OLDEST)', IPython.__version__"
	$(PYTEST) $(SEVERAL) tests/notebook/test_magics.py tests/notebook/test_transform.py \
		tests/notebook/test_terminal.py tests/notebook/test_completion.py

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "llx_magic needs Python 3.11 or later on PATH (or: make PYTHON=/path/to/python)"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	@echo "installing llx_magic and the runtime of its embedded model"
	@$(BIN)/python -m pip install --quiet -e '.[local]'
	@touch $@

$(VENV)/.lab: $(VENV)/bin/python pyproject.toml $(wildcard labextension/* labextension/static/*)
	@echo "installing llx_magic, JupyterLab and the runtime of the embedded model"
	@$(BIN)/python -m pip install --quiet -e '.[local,lab,keyring]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	@echo "installing llx_magic and all that its tests need"
	@$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

docs: $(VENV)/.test
	$(BIN)/python scripts/make_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "the pages are at site/index.html"

$(VENV)/.oldest: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --target $(VENV)/ipython-$(OLDEST) --no-deps \
		ipython==$(OLDEST) backcall decorator pickleshare
	@touch $@

$(VENV)/.clients: $(VENV)/.test tests/clients/requirements.txt
	@echo "installing the services' own clients in an environment of their own"
	@$(BIN)/python -m venv $(VENV)/clients
	@$(VENV)/clients/bin/python -m pip install --quiet --requirement tests/clients/requirements.txt
	@touch $@

# Some 20 minutes, QUICK=1 some 4, and before that, once, what it takes to install the other clients (some GB).
bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick)

# Half an hour or so; each row has an environment of its own under .versions. ONLY=3.13-lowest runs one of them.
versions: $(VENV)/bin/python
	$(BIN)/python scripts/versions.py $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf $(VENV) .versions .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis site
