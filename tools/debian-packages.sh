#!/usr/bin/env bash
# Installs the named Debian packages that are missing, where this user may, and says what is missing otherwise.
#
#   tools/debian-packages.sh PACKAGE...
#
# Exit status: 0 all are there, 3 some are missing (their names are on stderr).
set -euo pipefail

installed() {
    # A machine may have the program from elsewhere: what counts for a program is that it runs.
    case "$1" in
        softhsm2) command -v softhsm2-util ;;
        opensc) command -v pkcs11-tool ;;
        wrk | strace) command -v "$1" ;;
        *) dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep --line-regexp installed ;;
    esac >/dev/null
}

missing=()
for package in "$@"; do
    installed "$package" || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "these components are missing, and this system has no apt-get to install them: ${missing[*]}" >&2
    exit 3
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "these Debian packages are missing, and only root may install them:" >&2
    echo "  sudo apt-get install ${missing[*]}" >&2
    exit 3
fi

echo "installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install: ${missing[*]}" >&2
    exit 3
fi
