"""Who asks for what in which state, and what has to come of it; the same through every face."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from unit.operations.asking import KEK, NAMED, VERSIONED, Ask
from unit.operations.prepared import DATA_KEY, DIGEST, NOW, OCT_JWK, Prepared
from unit.operations.three_faces import COMMAND_LINE, HTTPS, LIBRARY, Scenario
from vaultcore.errors import StorageError
from vaultcore.library.engine import LibraryEngine
from vaultcore.operations.table import ACTIONS
from vaultcore.storage.sqlite.transaction import SqliteTransaction

Named = Iterator[tuple[str, Scenario]]
MISSING_VERSION: Final = "0123456789abcdef" * 2
USES: Final = {
    "KeyEncrypt": "encrypt", "KeyDecrypt": "decrypt", "KeyWrap": "wrapKey",
    "KeyUnwrap": "unwrapKey", "KeySign": "sign", "KeyVerify": "verify",
}  # fmt: skip
#: What a new version is made for, whether or not the object is there.
CREATING: Final = frozenset({"SecretSet", "KeyCreate", "KeyImport"})
OF_DELETED: Final = ("Recover", "GetDeleted", "Purge")


def good(made: Prepared) -> dict[str, Ask]:
    """Returns an ask of every operation that succeeds; objects are named in another case."""
    gcm = made.made["Oct gcm"]
    secret = made.versions["dev/secrets/Plain"][0]
    key, newest = (made.versions["dev/keys/Plain"][number] for number in (0, 1))
    oct_ = made.versions["dev/keys/Oct"][0]
    changes = {"enabled": True, "not_before": NOW + 5, "expires": NOW + 9, "tags": {"c": "d"}}
    found = [
        Ask("SecretGet", "plain", secret),
        Ask("SecretSet", "plain", given={"value": "third", "content_type": "x", **changes}),
        Ask("SecretUpdate", "plain", secret, {"content_type": "x", **changes}),
        Ask("KeyGet", "plain", key),
        Ask("KeyUpdate", "plain", key, {"operations": ["verify"], **changes}),
        Ask("KeyCreate", "plain", given={"kty": "oct", "size": 128, **changes}),
        Ask("KeyImport", "plain", given={"jwk": OCT_JWK, **changes}),
        Ask("KeyRotate", "plain"),
        Ask(
            "KeyEncrypt",
            "oct",
            oct_,
            {"algorithm": "A256GCM", "plaintext": b"plain", "associated_data": b"with it"},
        ),
        Ask(
            "KeyDecrypt",
            "oct",
            oct_,
            {
                "algorithm": "A256GCM",
                "ciphertext": gcm.ciphertext,
                "nonce": gcm.nonce,
                "tag": gcm.tag,
                "associated_data": b"with it",
            },
        ),
        Ask("KeyWrap", "oct", oct_, {"algorithm": "A256KW", "key": DATA_KEY}),
        Ask(
            "KeyUnwrap",
            "oct",
            oct_,
            {"algorithm": "A256KW", "wrapped": made.made["Oct wrapped"]},
        ),
        Ask("KeySign", "plain", key, {"algorithm": "ES256", "digest": DIGEST}),
        Ask(
            "KeyVerify",
            "plain",
            newest,
            {"algorithm": "ES256", "digest": DIGEST, "signature": made.made["signature"]},
        ),
        Ask(KEK, "oct"),
        Ask("RandomBytesGet", given={"count": 128}),
    ]
    for kind, noun in (("secrets", "Secret"), ("keys", "Key")):
        found += [Ask(f"{noun}{verb}", "gone") for verb in OF_DELETED]
        found += [Ask(f"{noun}{verb}", "plain") for verb in ("Delete", "Backup", "ListVersions")]
        found += [Ask(f"{noun}{verb}") for verb in ("List", "ListDeleted")]
        found.append(Ask(f"{noun}Restore", given={"blob": made.made[f"{kind} backup"]}))
    return {ask.verb: ask for ask in found}


# what holds for every operation


def of_every_operation(made: Prepared) -> Named:
    """Yields what is asked of every operation in the same way."""
    for verb, ask in good(made).items():
        faces = (LIBRARY, COMMAND_LINE) if verb == KEK else (HTTPS, LIBRARY, COMMAND_LINE)
        for what, scenario in _of_one_operation(ask, made):
            yield f"{verb}, {what}", scenario._replace(faces=faces)


def _of_one_operation(ask: Ask, made: Prepared) -> Named:
    verb = ask.verb
    purge = verb.endswith("Purge")
    yield "done", Scenario(ask, 204 if purge else 200)
    if verb in NAMED:
        # Each of these is wrong in what comes later as well.
        bad = ask._replace(name="un_named", version="")
        yield "malformed name, not permitted", Scenario(bad, 400, stranger=True)
        missing = ask._replace(name="Missing", version="")
        yield "not permitted, missing", _denied(missing)
        if verb not in CREATING:
            yield "missing", Scenario(missing, 404)
        if verb.endswith(OF_DELETED):
            yield "not deleted", Scenario(ask._replace(name="plain"), 404)
        elif verb in CREATING:
            taken = ask._replace(name="gone")
            yield "deleted", Scenario(taken, 409, "ObjectIsDeletedButRecoverable")
        else:
            yield "deleted", Scenario(ask._replace(name="gone", version=""), 404)
    else:
        yield "not permitted", _denied(ask)
    if verb in VERSIONED:
        bad = ask._replace(name="missing", version="0123")
        yield "malformed version, not permitted, missing", Scenario(bad, 400, stranger=True)
        yield "version in capitals", Scenario(ask._replace(version=ask.version.upper()))
        yield "current version", Scenario(ask._replace(version=""))
        other = ask._replace(name="off", version=MISSING_VERSION)
        yield "missing version of what is disabled", Scenario(other, 404)
    if verb != "RandomBytesGet":
        yield "no store", Scenario(ask, 503, fault=no_store)
    yield "unforeseen", Scenario(ask, 500, fault=unforeseen)
    if ACTIONS[verb].writes:
        yield "no store in the transaction", Scenario(ask, 503, fault=no_store_within)
        yield "unforeseen in the transaction", Scenario(ask, 500, fault=unforeseen_within)


def _denied(ask: Ask) -> Scenario:
    return Scenario(ask, 403, "AccessDenied", stranger=True)


# what fails


def no_store(patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> None:
    """Nothing can be read from the database or written to it."""
    failure = StorageError("the disk /srv/vault does not answer")

    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    async def fail_async(*_: Any) -> Any:
        raise failure

    for method in ("object", "current", "version", "versions", "list_objects", "list_versions"):
        patch.setattr(engine.store, method, fail)
    patch.setattr(engine.store, "write", fail)
    patch.setattr(engine.store, "write_async", fail_async)


def unforeseen(patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> None:
    """The operation fails with what nobody foresaw."""

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("/srv/vault/file")

    patch.setattr(ACTIONS[verb], "run", fail)


def no_store_within(patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> None:
    """The database fails at the last step of the transaction."""
    _fail_within(patch, StorageError("the disk /srv/vault is full"))


def unforeseen_within(patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> None:
    """The last step of the transaction fails with what nobody foresaw."""
    _fail_within(patch, OSError("/srv/vault/file"))


def _fail_within(patch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    patch.setattr(SqliteTransaction, "changed", fail)
