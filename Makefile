# Each target sets up what it needs: a virtual environment from the pinned lock, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out/demo
DEBIAN := prometheus chromium libreoffice-calc fonts-noto-cjk

.PHONY: demo test lint app bench docs setup lock debian clean
.DEFAULT_GOAL := demo

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

demo: setup
	@$(BIN)/burstline demo --out $(OUT)

test: setup debian
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST)

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

app: setup
	@$(BIN)/burstline app

bench: setup
	@$(BIN)/burstline bench speed

docs: setup
	@$(BIN)/python -m pytest tests/e2e -k "readme or notebook" -q

# The lock is made from pyproject.toml, for every platform, without index addresses.
lock:
	@$(BIN)/python -m uv pip compile pyproject.toml --extra test --universal --no-emit-index-url --no-header --quiet -o requirements.lock

# Real servers for the tests; a test whose server is missing is skipped with its reason.
debian:
	@missing=""; for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
	      || echo "could not install$$missing: the tests that need them are skipped" >&2; \
	  else echo "not root or no apt-get:$$missing missing, the tests that need them are skipped" >&2; fi; \
	fi

clean:
	@rm -rf $(VENV) out build dist
