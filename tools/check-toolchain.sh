#!/usr/bin/env bash
# Says what is missing to build the Rust extension, before a build fails half-way through.
set -euo pipefail

oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
missing=0

if ! command -v cargo >/dev/null || ! cargo --version >/dev/null 2>&1; then
    echo "vaultcore needs Rust $oldest or newer (cargo was not found): see https://rustup.rs" >&2
    missing=1
else
    found=$(rustc --version | awk '{print $2}')
    if [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" != "$oldest" ]; then
        echo "vaultcore needs Rust $oldest or newer and found $found: run  rustup update stable" >&2
        missing=1
    fi
fi

if ! command -v "${CC:-cc}" >/dev/null; then
    echo "vaultcore needs a C compiler (${CC:-cc} was not found): apt-get install build-essential" >&2
    missing=1
fi

exit "$missing"
