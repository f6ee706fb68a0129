#!/bin/sh
# Makes the names of a development service (`vaultcore dev`) resolve on this machine, once.
#
#   names.sh [NAME...]      default: dev, login and management under vault.localhost
#
# A plain Debian does not resolve `*.localhost`. A line in the hosts file serves every client, also
# those that read it themselves (Go without cgo). libnss-myhostname serves those that ask the C
# library, but answers ::1 first, and the Java client then tries nothing else.
# Ends with status 1, and the line to add, where the hosts file may not be written.
set -eu

[ $# -gt 0 ] || set -- dev.vault.localhost login.vault.localhost management.vault.localhost
missing=
for name in "$@"; do
    # ahostsv4: `getent hosts` would hide an IPv4 entry behind an IPv6 one.
    if ! getent ahostsv4 "$name" | grep -q '^127\.'; then
        missing="$missing $name"
    fi
done
[ -n "$missing" ] || exit 0

line="127.0.0.1$missing"
if [ -w /etc/hosts ] && printf '%s\n' "$line" >>/etc/hosts; then
    echo "added to /etc/hosts: $line"
else
    echo "these names do not resolve:$missing" >&2
    echo "as root, add this line to /etc/hosts: $line" >&2
    exit 1
fi
