"""One operation as no face asks for it, and what each face makes of it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from vaultcore.encoding import encode_base64url


class Ask(NamedTuple):
    """An operation, with its arguments as the library calls them."""

    verb: str
    name: str = ""
    version: str = ""
    given: Mapping[str, Any] = MappingProxyType({})

    @property
    def kind(self) -> str:
        return "secrets" if self.verb.startswith("Secret") else "keys"


def _routes() -> Iterator[tuple[str, str, str]]:
    for kind, noun in (("secrets", "Secret"), ("keys", "Key")):
        yield f"{noun}Get", "GET", f"/{kind}/{{name}}/{{version}}"
        yield f"{noun}Update", "PATCH", f"/{kind}/{{name}}/{{version}}"
        yield f"{noun}Delete", "DELETE", f"/{kind}/{{name}}"
        yield f"{noun}Recover", "POST", f"/deleted{kind}/{{name}}/recover"
        yield f"{noun}GetDeleted", "GET", f"/deleted{kind}/{{name}}"
        yield f"{noun}Purge", "DELETE", f"/deleted{kind}/{{name}}"
        yield f"{noun}Backup", "POST", f"/{kind}/{{name}}/backup"
        yield f"{noun}Restore", "POST", f"/{kind}/restore"
        yield f"{noun}List", "GET", f"/{kind}"
        yield f"{noun}ListDeleted", "GET", f"/deleted{kind}"
        yield f"{noun}ListVersions", "GET", f"/{kind}/{{name}}/versions"
    yield "SecretSet", "PUT", "/secrets/{name}"
    yield "KeyImport", "PUT", "/keys/{name}"
    yield "KeyCreate", "POST", "/keys/{name}/create"
    yield "KeyRotate", "POST", "/keys/{name}/rotate"
    for use, path in (("Wrap", "wrapkey"), ("Unwrap", "unwrapkey")):
        yield f"Key{use}", "POST", f"/keys/{{name}}/{{version}}/{path}"
    for use in ("Encrypt", "Decrypt", "Sign", "Verify"):
        yield f"Key{use}", "POST", f"/keys/{{name}}/{{version}}/{use.lower()}"
    yield "RandomBytesGet", "POST", "/rng"


ROUTES = {verb: (method, path) for verb, method, path in _routes()}
#: What has no route; the command line asks the library for it.
KEK = "KeyEncryptionKeyGet"
NAMED = frozenset({KEK, *(verb for verb, (_, path) in ROUTES.items() if "{name}" in path)})
VERSIONED = frozenset(verb for verb, (_, path) in ROUTES.items() if "{version}" in path)
METHODS = {
    "SecretGet": "get", "SecretSet": "set", "SecretUpdate": "update",
    "KeyGet": "get", "KeyCreate": "create", "KeyImport": "import_", "KeyRotate": "rotate",
    "KeyUpdate": "update", "KeyEncrypt": "encrypt", "KeyDecrypt": "decrypt", "KeyWrap": "wrap_key",
    "KeyUnwrap": "unwrap_key", "KeySign": "sign", "KeyVerify": "verify",
    "RandomBytesGet": "random_bytes", KEK: "kek",
    **{
        noun + verb: method
        for noun in ("Secret", "Key")
        for verb, method in {
            "Delete": "delete", "Recover": "recover", "GetDeleted": "get_deleted",
            "Purge": "purge", "Backup": "backup", "Restore": "restore", "List": "list",
            "ListDeleted": "list_deleted", "ListVersions": "list_versions",
        }.items()
    },
}  # fmt: skip
_MEMBERS = {
    "algorithm": "alg", "associated_data": "aad", "blob": "value", "ciphertext": "value",
    "content_type": "contentType", "curve": "crv", "hsm": "Hsm", "jwk": "key", "nonce": "iv",
    "operations": "key_ops", "plaintext": "value", "signature": "value", "size": "key_size",
    "wrapped": "value",
}  # fmt: skip
_OWN_MEMBERS = {"KeySign": {"digest": "value"}, "KeyWrap": {"key": "value"}}
_ATTRIBUTES = {"enabled": "enabled", "not_before": "nbf", "expires": "exp"}


def body_of(ask: Ask) -> dict[str, Any] | None:
    """Returns the body of the request; None where the operation has no arguments."""
    names = _MEMBERS | _OWN_MEMBERS.get(ask.verb, {})
    body: dict[str, Any] = {}
    for argument, value in ask.given.items():
        told = encode_base64url(value) if isinstance(value, bytes) else value
        if argument in _ATTRIBUTES:
            body.setdefault("attributes", {})[_ATTRIBUTES[argument]] = told
        else:
            body[names.get(argument, argument)] = told
    return body or None
