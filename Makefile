# Needs a POSIX shell, Python 3.10 or newer and a package index; everything else is installed into $(VENV).

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := $(VENV)/.installed
FRAMEWORKS := $(VENV)/frameworks
CATALYST := $(VENV)/catalyst

.DEFAULT_GOAL := help
.PHONY: help environment test test-frameworks demo lint format docs docs-check corpus bench bench-guard faults soak clean FORCE

help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  PYTHON=python3.12 chooses the interpreter, TORCH="torch==2.6.0" the torch to install.'

environment: $(INSTALLED) ## creates or updates the virtual environment in .venv

test: $(INSTALLED) ## everything that continuous integration runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m pytest -n auto --dist loadfile

test-frameworks: $(FRAMEWORKS)/.installed $(CATALYST)/.installed ## frameworks and sinks that are too large for `make test`, in environments of their own
	$(FRAMEWORKS)/bin/python -m pytest tests/adapters tests/runtime_guard/test_sinks.py
	$(CATALYST)/bin/python -m pytest tests/adapters/test_catalyst.py tests/adapters/test_guide.py -k 'catalyst or Catalyst'

demo: $(INSTALLED) ## from a NaN in an example to its cause and its fix, on a copy
	@$(BIN)/python examples/demo.py

lint: $(INSTALLED) ## ruff and mypy only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

format: $(INSTALLED) ## formats the code and sorts the imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## writes what is generated in docs/ and README.md
	$(BIN)/python -m docs.generate

docs-check: $(INSTALLED) ## fails when what `make docs` writes is stale
	$(BIN)/python -m docs.generate --check

corpus: $(INSTALLED) ## runs the checker over public PyTorch packages
	$(BIN)/python -m benchmarks.corpus

bench: $(INSTALLED) ## measures speed beside the peers
	$(BIN)/python -m benchmarks.speed

bench-guard: $(INSTALLED) ## measures what the guard costs a step, beside its peers
	$(BIN)/python -m benchmarks.guard

faults: $(INSTALLED) ## injects faults into trainings, and compares what the guard and its peers say
	$(BIN)/python -m benchmarks.faults

soak: $(INSTALLED) ## runs the checker over all of the environment's site-packages
	$(BIN)/python -m benchmarks.soak

clean: ## removes the environment and everything that was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .pipeline_lint_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt $(VENV)/.torch
	@echo "Installing $(TORCH) and the development tools into $(VENV); the first time this takes a minute or two."
	@# torch comes first: asked for by an open requirement, it would bring gigabytes of CUDA packages.
	$(PIP) -c constraints.txt "$(TORCH)"
	$(PIP) -c constraints.txt --editable '.[dev]'
	@touch $@

$(FRAMEWORKS)/.installed: $(INSTALLED)
	"$(PYTHON)" -m venv --clear $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(TORCH)"
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,transformers,wandb,mlflow]'
	@# fastai asks for torchvision, which its tests here do not need, and which would bring another torch.
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "fastai>=2.8,<2.9"
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  fastcore fastdownload fastprogress fasttransform matplotlib pandas requests scikit-learn scipy cloudpickle plum-dispatch
	@touch $@

# Catalyst takes an accelerate that is older than the other frameworks need, and what was current with it.
$(CATALYST)/.installed: $(INSTALLED)
	"$(PYTHON)" -m venv --clear $(CATALYST)
	$(CATALYST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(TORCH)"
	$(CATALYST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[catalyst]' \
	  pytest pytest-randomly pytest-timeout pytest-xdist
	@touch $@

# Changes only when another torch is asked for.
$(VENV)/.torch: FORCE | $(VENV)/.created
	@test "$$(cat $@ 2>/dev/null)" = "$(TORCH)" || printf '%s\n' "$(TORCH)" > $@

$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || { echo >&2 \
	  "There is no '$(PYTHON)' on this machine. Install Python 3.10 or newer, or name one: make PYTHON=python3.12 ..."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo >&2 \
	  "'$(PYTHON)' is $$("$(PYTHON)" --version 2>&1), but Python 3.10 or newer is needed. Name one: make PYTHON=python3.12 ..."; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { echo >&2 \
	  "'$(PYTHON)' cannot create virtual environments: its module ensurepip or venv is missing. On Debian and Ubuntu: apt install python3-venv. Or name another Python: make PYTHON=python3.12 ..."; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@
