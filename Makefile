# make demo   a prompt that fails over, for real, to the embedded model; no key needed
# make test   lint, types, imports, unit and acceptance tests, notebooks
# make lab    JupyterLab on the quickstart notebook
# make versions   a quick part of the tests on each Python found, with the oldest and the newest allowed packages
# make docs   what is made from the code, and the pages of the documentation as a site
# make bench  what all of it costs, against other clients, each of which is installed in an environment of its own

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

# The first Python of at least 3.11; a shim that is on PATH but does not run does not count.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

.PHONY: demo test lab lint types unit oldest notebooks docs bench versions clean

demo: $(VENV)/.demo
	@$(BIN)/llx demo

# Jupyter refuses to serve root unless it is told to. LAB_FLAGS is for more, such as LAB_FLAGS='--no-browser --port 9999'.
AS_ROOT := $(shell test "$$(id -u)" != 0 || echo --allow-root)
LAB_FLAGS ?=
lab: $(VENV)/.lab
	@$(BIN)/llx local pull
	@echo "JupyterLab opens on notebooks/quickstart.ipynb; end it with Ctrl-C twice."
	@$(BIN)/jupyter lab $(AS_ROOT) $(LAB_FLAGS) notebooks/quickstart.ipynb

test: $(VENV)/.test lint types unit oldest notebooks
	@echo "make test: all passed"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/make_docs.py --check

types: $(VENV)/.test
	$(BIN)/mypy

# The browser tests have a process of their own: what drives the browser keeps an event loop running there.
unit: $(VENV)/.test
	@$(BIN)/llx local pull
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		echo "NOT RUN: the browser tests, for want of chromium: apt-get install chromium"
	$(BIN)/python -m pytest -n 2 --dist worksteal tests --ignore tests/browser
	$(BIN)/python -m pytest tests/browser

# The same magics on the oldest IPython that is supported; the rest of the environment stays as it is.
OLDEST := 8.12.3
oldest: export PYTHONPATH := $(CURDIR)/$(VENV)/ipython-$(OLDEST)
oldest: $(VENV)/.oldest
	@$(BIN)/python -c "import IPython; assert IPython.__version__ == '$(OLDEST)', IPython.__version__"
	$(BIN)/python -m pytest tests/notebook/test_magics.py tests/notebook/test_transform.py \
		tests/notebook/test_terminal.py tests/notebook/test_completion.py

# The two that run in real time, and whose outputs are redrawn, run in tests/test_streaming_notebooks.py.
notebooks: $(VENV)/.test
	TZ=UTC $(BIN)/python -m pytest --nbval --nbval-current-env \
		--ignore notebooks/background.ipynb --ignore notebooks/dashboard.ipynb notebooks

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "llx_magic needs Python 3.11 or later on PATH (or: make PYTHON=/path/to/python)"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	@echo "installing llx_magic and the runtime of its embedded model"
	@$(BIN)/python -m pip install --quiet -e '.[local]'
	@touch $@

$(VENV)/.lab: $(VENV)/bin/python pyproject.toml
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

# At most 20 minutes, QUICK=1 at most 4, and before that, once, what it takes to install the other clients (some GB).
bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick)

# Half an hour or so; each row has an environment of its own under .versions. ONLY=3.13-lowest runs one of them.
versions: $(VENV)/bin/python
	$(BIN)/python scripts/versions.py $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf $(VENV) .versions .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis site
