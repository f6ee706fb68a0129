#!/usr/bin/env bash
# Prints the path of a Python 3.11 or newer that can make virtual environments, or says what to install.
set -euo pipefail

usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    path=$(command -v "$candidate") || continue
    # A shim of a version manager exists without its Python; only running it tells.
    if "$path" -c "$usable" 2>/dev/null; then
        echo "$path"
        exit 0
    fi
done

cat >&2 <<'MESSAGE'
vaultcore needs Python 3.11 or newer with the venv module, and found none.
  Debian or Ubuntu:  apt-get install python3 python3-venv python3-dev
  another system:    install it, then name it:  make install PYTHON=/path/to/python3.12
MESSAGE
exit 1
