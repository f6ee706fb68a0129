# make install   a virtual environment of the project's own, with .venv/bin/vaultcore in it
# make demo      the main job on an empty folder, told step by step
# make test      every test, those with real components too
# make lint      formatting, lints and types of both languages
# make miri      what of the core runs under Miri; needs rustup and its nightly toolchain
# make bench     the benchmarks
# make clean     removes what the others built

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := install

VENV := .venv
BIN := $(VENV)/bin
CARGO_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_FLAGS ?=

.PHONY: install demo test test-rust test-python components lint format miri bench constraints clean

install: $(VENV)/.built

# The environment: exact versions, so that two machines run the same code.
$(VENV)/.installed: pyproject.toml constraints.txt tools/find-python.sh
	@python=$$(tools/find-python.sh)
	[ -x $(BIN)/python ] || { echo "making $(VENV) with $$python"; "$$python" -m venv $(VENV); }
	echo "installing the Python packages of constraints.txt"
	$(PIP) install --constraint constraints.txt pip
	$(PIP) install --constraint constraints.txt --group test --group lint maturin
	touch $@

# The extension and the command: built only when a source of them changed.
$(VENV)/.built: $(VENV)/.installed $(CARGO_SOURCES)
	@tools/check-toolchain.sh
	echo "building the Rust extension (the first time takes a few minutes)"
	VIRTUAL_ENV="$$PWD/$(VENV)" PIP_CONSTRAINT="$$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 \
		$(BIN)/maturin develop --release --locked --strip --quiet
	$(BIN)/vaultcore --version
	touch $@

demo: install
	@tools/debian-packages.sh softhsm2 || echo "going on without a PKCS#11 token"
	exec $(BIN)/python examples/demo.py

# Real components that the tests drive. A test whose component is missing says so and is skipped;
# with CI=true nothing may be missing.
components:
	@if ! { tools/debian-packages.sh softhsm2 opensc strace && tools/resolve-localhost.sh; }; then
		[ -z "$${CI:-}" ] || exit 1
		echo "going on; the tests that need them will be skipped" >&2
	fi

test: install components test-rust test-python

test-rust:
	@cargo test --quiet --locked --package vaultcore-core --package vaultcore-log
	# Full disks: file systems of their own, mounted where nobody else sees them.
	mounting() { unshare --map-root-user --mount "$$@"; }
	if mounting mount -t tmpfs tmpfs /tmp; then
		mounting cargo test --quiet --locked --package vaultcore-log -- --ignored
	else
		[ -z "$${CI:-}" ] || exit 1
		echo "going on without the tests of full disks: this machine does not let them mount a file system" >&2
	fi

test-python: install
	$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/unit
	$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/e2e

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy
	$(BIN)/mypy tests examples benches
	$(BIN)/python -m mypy.stubtest vaultcore._core --mypy-config-file pyproject.toml
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

format:
	$(BIN)/ruff format
	$(BIN)/ruff check --fix-only --quiet
	cargo fmt --all

# What calls the backend is left out: it is C.
miri:
	rustup toolchain install nightly --profile minimal --component miri --component rust-src
	cargo +nightly miri test --locked --package vaultcore-core --lib

bench: install
	@tools/debian-packages.sh wrk
	$(PIP) install --constraint constraints.txt --group bench
	$(BIN)/python -m pytest $(PYTEST_FLAGS) benches
	$(BIN)/python -m benches.service.compare --document
	$(BIN)/python -m benches.service.scale

# Writes the newest versions that pyproject.toml allows into constraints.txt.
constraints:
	@python=$$(tools/find-python.sh)
	scratch=$$(mktemp -d)
	trap 'rm -rf "$$scratch"' EXIT
	"$$python" -m venv "$$scratch"
	"$$scratch/bin/python" -m pip install --quiet --upgrade pip maturin
	"$$scratch/bin/python" -m pip install --quiet --group test --group lint --group bench \
		$$("$$scratch/bin/python" tools/requirements.py)
	{ echo "# Exact versions for development and tests; written by: make constraints"; \
		"$$scratch/bin/python" -m pip freeze --all; } >constraints.txt

clean:
	rm -rf $(VENV) target .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f python/vaultcore/*.so
