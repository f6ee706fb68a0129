#!/usr/bin/env bash
# Makes the names of the development vaults resolve to this machine, where this user may.
#
# A plain Debian resolves localhost and not the names below it. A line in the hosts file serves every
# client; libnss-myhostname, the other way, answers ::1 first, and Java's client tries nothing else.
#
# Exit status: 0 the names resolve, 3 they do not (stderr says what to do).
set -euo pipefail

missing=()
for label in dev one other second prod brief login management; do
    name=$label.vault.localhost
    getent ahosts "$name" | head -n 1 | grep --quiet '^127\.' || missing+=("$name")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

line="127.0.0.1 ${missing[*]}"
if [ -w /etc/hosts ] && printf '%s\n' "$line" >>/etc/hosts; then
    echo "added to /etc/hosts: $line"
else
    echo "*.vault.localhost does not resolve on this machine; as root, add this to /etc/hosts:" >&2
    echo "  $line" >&2
    exit 3
fi
