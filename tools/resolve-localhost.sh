#!/usr/bin/env bash
# Makes the names of the development vaults resolve to this machine, where this user may.
#
# A plain Debian resolves localhost and not the names below it. libnss-myhostname answers for all of them;
# without it, the hosts file names the few that the tests use.
#
# Exit status: 0 the names resolve, 3 they do not (stderr says what to do).
set -euo pipefail

names=(dev.vault.localhost second.vault.localhost other.vault.localhost
    login.vault.localhost management.vault.localhost vault.localhost)

resolve() {
    local name
    for name in "${names[@]}"; do
        getent hosts "$name" >/dev/null || return 1
    done
}

resolve && exit 0
"$(dirname "$0")/debian-packages.sh" libnss-myhostname || true
resolve && exit 0

line="127.0.0.1 ${names[*]}"
if [ -w /etc/hosts ]; then
    echo "adding to /etc/hosts: $line"
    echo "$line" >>/etc/hosts
    resolve && exit 0
fi
echo "*.vault.localhost does not resolve on this machine; add this line to /etc/hosts:" >&2
echo "  $line" >&2
exit 3
