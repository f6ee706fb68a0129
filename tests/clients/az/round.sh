#!/usr/bin/env bash
# One round of the unmodified Azure CLI against a vaultcore service. All it knows about the service
# comes from the environment that `vaultcore env` prints. It prints a line per step and ends with a
# status other than zero at the first difference. AZURE_CLI names the program where it is not `az`.
set -euo pipefail

az() { "${AZURE_CLI:-az}" "$@" --only-show-errors; }
ok() { echo "ok $1"; }
fail() { echo "FAILED $1" >&2 && exit 1; }
same() { [ "$1" = "$2" ] || fail "line ${BASH_LINENO[0]}: expected $1, got $2"; }
holds() { [[ $'\n'"$2"$'\n' == *$'\n'"$1"$'\n'* ]] || fail "line ${BASH_LINENO[0]}: no $1 in $2"; }
refused() {
    local wanted=$1 said
    shift
    if said=$("$@" 2>&1 >/dev/null); then
        fail "line ${BASH_LINENO[0]}: expected $wanted, got success"
    fi
    [[ $said == *"$wanted"* ]] || fail "line ${BASH_LINENO[0]}: expected $wanted, got $said"
}
trap 'echo "FAILED line $LINENO" >&2' ERR

host=${VAULT_URL:?take the environment from vaultcore env}
host=${host#https://}
vault=${host%%.*}
suffix=.${host#*.}
management=https://management$suffix

# A configuration of its own: nobody's cloud and login are touched.
AZURE_CONFIG_DIR=$(mktemp -d)
trap 'rm -rf "$AZURE_CONFIG_DIR"' EXIT
export AZURE_CONFIG_DIR
export AZURE_CORE_INSTANCE_DISCOVERY=false AZURE_CORE_COLLECT_TELEMETRY=false

az cloud register --name vaultcore --skip-endpoint-discovery \
    --endpoint-resource-manager "$management" \
    --endpoint-active-directory "$AZURE_AUTHORITY_HOST" \
    --endpoint-active-directory-resource-id "$management" \
    --suffix-keyvault-dns "$suffix"
az cloud set --name vaultcore
ok "register the cloud"

az login --service-principal --username "$AZURE_CLIENT_ID" --password "$AZURE_CLIENT_SECRET" \
    --tenant "$AZURE_TENANT_ID" --allow-no-subscriptions --output none
ok "log in"

name=az-$RANDOM$RANDOM
secret=(--vault-name "$vault" --name "$name")

first=$(az keyvault secret set "${secret[@]}" --value first --query id --output tsv)
same "first" "$(az keyvault secret show "${secret[@]}" --query value --output tsv)"
ok "set a secret and show it"

second=$(az keyvault secret set "${secret[@]}" --value second --content-type text/plain \
    --tags round=az --query id --output tsv)
same "second text/plain az" "$(az keyvault secret show "${secret[@]}" \
    --query "join(' ', [value, contentType, tags.round])" --output tsv)"
same "first" "$(az keyvault secret show --id "$first" --query value --output tsv)"
ok "a second version, and the first by its identifier"

az keyvault secret set-attributes --id "$first" --enabled false --output none
refused SecretDisabled az keyvault secret show --id "$first"
same "second" "$(az keyvault secret show --id "$second" --query value --output tsv)"
ok "the first is disabled and refused"

holds "$name" "$(az keyvault secret list --vault-name "$vault" --query '[].name' --output tsv)"
versions=$(az keyvault secret list-versions "${secret[@]}" --query '[].id' --output tsv)
holds "$first" "$versions"
holds "$second" "$versions"
ok "list secrets and versions"

refused AccessDenied az keyvault secret backup "${secret[@]}" --file "$AZURE_CONFIG_DIR/backup"
ok "a backup without the permission is refused"

az keyvault secret delete "${secret[@]}" --output none
refused SecretNotFound az keyvault secret show "${secret[@]}"
holds "$name" \
    "$(az keyvault secret list-deleted --vault-name "$vault" --query '[].name' --output tsv)"
ok "delete"

az keyvault secret recover "${secret[@]}" --output none
same "second" "$(az keyvault secret show "${secret[@]}" --query value --output tsv)"
ok "recover"

az keyvault secret delete "${secret[@]}" --output none
az keyvault secret purge "${secret[@]}"
refused SecretNotFound az keyvault secret show-deleted "${secret[@]}"
ok "delete and purge"

rsa=(--vault-name "$vault" --name "$name-rsa")
rsa_id=$(az keyvault key create "${rsa[@]}" --kty RSA --size 2048 --query key.kid --output tsv)
same "$rsa_id" "$(az keyvault key show "${rsa[@]}" --query key.kid --output tsv)"
holds "$name-rsa" "$(az keyvault key list --vault-name "$vault" --query '[].name' --output tsv)"
ok "create a key, show and list it"

# As base64: what az prints for `--data-type plaintext` is the notation of Python's bytes.
plaintext=YSB0ZXh0
oaep=(--algorithm RSA-OAEP-256 --data-type base64 --query result --output tsv)
sealed=$(az keyvault key encrypt "${rsa[@]}" --value "$plaintext" "${oaep[@]}")
same "$plaintext" "$(az keyvault key decrypt "${rsa[@]}" --value "$sealed" "${oaep[@]}")"
same "$plaintext" "$(az keyvault key decrypt --id "$rsa_id" --value "$sealed" "${oaep[@]}")"
ok "encrypt and decrypt, by name and by identifier"

ec=(--vault-name "$vault" --name "$name-ec")
az keyvault key create "${ec[@]}" --kty EC --curve P-256 --output none
# SHA-256 of "a message" and of "another message".
digest=9TwJyjlxekXGLZrKj4ET7dv9X4HcqwszscGDQHUiXmg=
other=KOoPIxGSplcRpkQAOwyzoEm/r0M5ezbIvu1jE3N07Zc=
signature=$(az keyvault key sign "${ec[@]}" --algorithm ES256 --digest "$digest" \
    --query signature --output tsv)
verify=(az keyvault key verify "${ec[@]}" --algorithm ES256 --signature "$signature"
    --query isValid --output tsv)
same true "$("${verify[@]}" --digest "$digest")"
same false "$("${verify[@]}" --digest "$other")"
ok "sign and verify"

refused KeyNotFound az keyvault key show --vault-name "$vault" --name "$name-missing"
ok "a missing key is not found"

echo "done"
