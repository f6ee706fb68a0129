"""New keys for the audit log, also under another engine, and what the old ones are worth then."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from unit.audit.folders import created, opened, records, report, secrets
from vaultcore._core import Key
from vaultcore.audit.verifier import verify
from vaultcore.engine.audit_rotation import rotate_audit_keys


@pytest.fixture
def data(tmp_path: Path, clock: Any) -> Path:
    return created(tmp_path / "data", clock)


@pytest.mark.parametrize("first", ["checkpoint", "require"])
def test_keys_that_another_process_made_are_no_reason_to_refuse(
    data: Path, clock: Any, first: str
) -> None:
    with opened(data, clock) as one, opened(data, clock) as two:
        secrets(two).get("s1")
        one.management.audit_rotate_keys()
        # The second looks at the log before it has heard of the keys from the store.
        getattr(two.audit, first)()
        assert two.audit.problem is None
        assert report(one)["ok"]


def test_this_engine_has_the_new_key_when_the_rotation_is_told(data: Path, clock: Any) -> None:
    with opened(data, clock) as engine:
        before = engine.audit.public_key()
        names = rotate_audit_keys(engine)
        after = engine.audit.public_key()
        assert before is not None
        assert after is not None
        assert names == {
            "previousKeyId": Key.from_jwk(before).thumbprint(),
            "keyId": Key.from_jwk(after).thumbprint(),
        }
        assert before != after
        assert report(engine)["ok"]


def test_keys_are_rotated_under_a_second_engine(data: Path, clock: Any) -> None:
    with opened(data, clock) as one, opened(data, clock) as two:
        secrets(two).get("s1")
        names = one.management.audit_rotate_keys()
        # The second has not heard of it yet when it writes, and then it has.
        two.audit.record_own("Test", "", {})
        secrets(two).get("s1")
        secrets(one).get("s1")
        clock.advance(2)
        two.audit.checkpoint()
        found = report(one)
        assert found["ok"], found
        assert found["key_id"] == names["keyId"] != names["previousKeyId"]
    key = None
    with opened(data, clock) as engine:
        key = engine.audit.public_key()
        assert report(engine)["ok"]
    # With the new key alone, what the old one signed is not known.
    assert not verify(data / "audit", key).ok


def test_a_stolen_key_makes_nothing_a_minute_after_the_rotation(data: Path, clock: Any) -> None:
    collection, key = "outbox/" + "0" * 32, f"{10**6:020d}"
    body = b'{"vault":"dev","operation":"SecretPurge"}'
    with opened(data, clock) as engine:
        # Whoever holds the keys of the moment can make a record of anything.
        tag = engine.audit.tag(f"{collection}/{key}\n".encode() + body)
        engine.management.audit_rotate_keys()

    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("INSERT INTO documents VALUES (?, ?, ?)", (collection, key, tag + body))
    clock.advance(61)
    with opened(data, clock) as engine:
        assert report(engine)["ok"]
    told = [r["operationName"] for r in records(data)]
    assert "SecretPurge" not in told
    assert told.count("OutboxEntryRefused") == 1


def test_a_folder_opens_long_after_its_keys_were_rotated(data: Path, clock: Any) -> None:
    with opened(data, clock) as engine:
        engine.management.audit_rotate_keys()
        # As if the process had ended at once: no further checkpoint, no state with the new key.
        engine.audit._closed = True
    clock.advance(3600)
    with opened(data, clock) as engine:
        assert report(engine)["ok"]
