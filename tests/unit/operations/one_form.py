"""What came of an operation, in one form, whatever face it came by; what is random is used once."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from unit.operations.asking import KEK, Ask
from vaultcore.errors import ConflictError
from vaultcore.library.engine import LibraryEngine
from vaultcore.library.results import Encryption, Properties, Secret, Signature
from vaultcore.objects.kinds import OpenVault

_VERSION = re.compile(r"\b[0-9a-f]{32}\b")


def lines(engine: LibraryEngine) -> list[bytes]:
    return (engine.data / "audit" / "audit.jsonl").read_bytes().splitlines()


#: What tells by which face, when and in which place of the log an operation came.
_BY_FACE = frozenset({
    "time", "durationMs", "callerIpAddress", "correlationId", "operationVersion",
    "sequence", "previous", "hash", "mac",
})  # fmt: skip


def comparable(line: bytes) -> dict[str, Any]:
    record = {name: value for name, value in json.loads(line).items() if name not in _BY_FACE}
    for name in ("clientInfo", "requestUri"):
        del record["properties"][name]
    return record


def state_of(vault: OpenVault, known: frozenset[str]) -> list[Any]:
    """Returns every version of every object of a vault, verified."""
    found = []
    for rules in vault.rules.values():
        for deleted in (False, True):
            for row, current in vault.store.list_objects(
                vault.id, rules.kind, deleted=deleted, after="", limit=1000
            ):
                rules.verify_object(vault.store, row, current)
                for stored in vault.store.versions(row.id):
                    version = msgspec.to_builtins(rules.describe(row, stored))
                    if stored.version not in known:
                        _hide_new_key(version["metadata"].get("public"))
                    found.append((rules.kind, version))
    return found


def without_new(found: Any, known: frozenset[str]) -> Any:
    """Returns the same with one word for versions that the folder did not hold before."""
    if isinstance(found, str):
        return _VERSION.sub(lambda m: m[0] if m[0] in known else "<new>", found)
    if isinstance(found, Mapping):
        return {name: without_new(value, known) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [without_new(value, known) for value in found]
    return found


def _hide_new_key(public: dict[str, str] | None) -> None:
    for member in {"n", "x", "y"} & set(public or {}):
        assert public is not None
        public[member] = f"{len(public[member])} characters"


def in_one_form(
    engine: LibraryEngine, vault: str, ask: Ask, answer: Any, known: frozenset[str]
) -> Any:
    """Returns an answer as every face could show it; what is random is checked by its use."""
    use = ask.verb.removeprefix("Secret").removeprefix("Key")
    owner = engine.vault(vault).acting_as(engine.administrator())
    keys, given = owner.keys, dict(ask.given)
    if use.startswith("List"):
        items = answer["value"] if isinstance(answer, dict) else answer
        return [_item(item, versioned=use == "ListVersions") for item in items]
    if use == "Backup":
        blob = answer if isinstance(answer, bytes) else _raw(answer["value"])
        with pytest.raises(ConflictError):
            getattr(owner, ask.kind).restore(blob)
        return "a backup that opens"
    if use in {"Sign", "Encrypt", "Wrap"}:
        version, made, nonce, tag = _made(answer)
        again = {"version": version, "algorithm": given.pop("algorithm")}
        if use == "Sign":
            assert keys.verify(ask.name, digest=given["digest"], signature=made, **again)
            return version, len(made)
        if use == "Wrap":
            assert keys.unwrap_key(ask.name, wrapped=made, **again) == given["key"]
            return version, len(made)
        plaintext = given.pop("plaintext")
        given["nonce"] = nonce
        assert keys.decrypt(ask.name, ciphertext=made, tag=tag, **given, **again) == plaintext
        return version, len(made), len(nonce or b""), len(tag or b"")
    if use in {"Decrypt", "Unwrap"}:
        return answer if isinstance(answer, bytes) else _raw(answer["value"])
    if use == "Verify":
        return answer if isinstance(answer, bool) else answer["value"]
    if use == "RandomBytesGet":
        return len(answer if isinstance(answer, bytes) else _raw(answer["value"]))
    if ask.verb == KEK:
        return answer.id, answer.suite, answer.generations
    if use == "Purge":
        assert answer is None
        return None
    if use == "Set" and isinstance(answer, dict):
        assert answer.pop("value") == given["value"]
    found = _bundle(answer)
    if found["version"] not in known:
        _hide_new_key(found["public"])
    return found


def _made(answer: Any) -> tuple[str, bytes, bytes | None, bytes | None]:
    if isinstance(answer, Signature):
        return answer.key_version, answer.signature, None, None
    if isinstance(answer, Encryption):
        return answer.key_version, answer.ciphertext, answer.nonce, answer.tag
    parts = [_raw(answer[name]) if name in answer else None for name in ("value", "iv", "tag")]
    assert parts[0] is not None
    return answer["kid"].rpartition("/")[2], parts[0], parts[1], parts[2]


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _item(shown: Any, *, versioned: bool) -> dict[str, Any]:
    found = _bundle(shown, versioned=versioned)
    for member in ("public", "kty", "key_ops"):
        del found[member]
    if not versioned:
        assert isinstance(shown, Properties) or found["version"] == ""
        del found["version"]
    return found


def _bundle(shown: Any, *, versioned: bool = True) -> dict[str, Any]:
    if isinstance(shown, Secret):
        return {**_metadata(shown.metadata), "value": shown.value} | {
            "name": shown.name, "version": shown.version, "deleted": None, "purge": None,
        }  # fmt: skip
    if isinstance(shown, Properties):
        parts = {
            "name": shown.name, "version": shown.version,
            "deleted": shown.deleted_at, "purge": shown.purge_at,
        }  # fmt: skip
        assert shown.id.endswith(f"/{shown.name}/{shown.version}")
        return {**_metadata(shown.metadata), **parts, "recovery": shown.recovery_level}
    key, attributes = dict(shown.get("key", {})), shown["attributes"]
    identifier = shown.get("id") or shown.get("kid") or key.pop("kid")
    name, version = _named(identifier, versioned=versioned)
    recovery = {} if "value" in shown else {"recovery": attributes["recoveryLevel"]}
    value = {"value": shown["value"]} if "value" in shown else {}
    return {
        "enabled": attributes["enabled"], "nbf": attributes.get("nbf"),
        "exp": attributes.get("exp"), "created": attributes["created"],
        "updated": attributes["updated"], "contentType": shown.get("contentType"),
        "tags": shown.get("tags"), "exportable": attributes.get("exportable", False),
        "key_size": attributes.get("key_size"), "kty": key.pop("kty", None),
        "key_ops": key.pop("key_ops", []), "public": key or None, "name": name,
        "version": version, "deleted": shown.get("deletedDate"),
        "purge": shown.get("scheduledPurgeDate"), **recovery, **value,
    }  # fmt: skip


def _named(identifier: str, *, versioned: bool) -> tuple[str, str]:
    _, _, _, _, name, *version = identifier.split("/")
    assert bool(version) == versioned
    return name, "".join(version)


def _metadata(metadata: Any) -> dict[str, Any]:
    return {
        "enabled": metadata.enabled, "nbf": metadata.not_before, "exp": metadata.expires,
        "created": metadata.created, "updated": metadata.updated,
        "contentType": metadata.content_type, "tags": metadata.tags,
        "exportable": metadata.exportable, "key_size": metadata.key_size,
        "kty": metadata.key_type, "key_ops": list(metadata.operations),
        "public": dict(metadata.public) if metadata.public else None,
    }  # fmt: skip
