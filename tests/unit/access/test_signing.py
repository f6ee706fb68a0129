"""The keys that the built-in issuer signs with: rotated, replaced, published."""

import base64
import threading
from pathlib import Path

import jwt
import pytest

from unit.access.issuing import (
    DAY,
    VAULT,
    issue,
    make_issuer,
)
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.issuer import Issuer
from vaultcore.access.tokens import TokenValidator
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    UnauthorizedError,
)
from vaultcore.storage import Store, open_store


def kids(issuer: Issuer) -> list[str]:
    return [key["kid"] for key in issuer.published_keys()["keys"]]


def test_old_tokens_verify_after_a_rotation_until_they_expire(
    issuer: Issuer, validator: TokenValidator, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    old = issue(issuer, made)
    (first,) = kids(issuer)
    second = issuer.keys.rotate()
    assert set(kids(issuer)) == {first, second}
    new = issue(issuer, made)
    assert jwt.get_unverified_header(new)["kid"] == second
    validator.validate(old)
    validator.validate(new)
    clock.advance(3659)
    validator.validate(old)
    clock.advance(300)
    assert kids(issuer) == [second]
    with pytest.raises(UnauthorizedError, match="AKV10046"):
        validator.validate(old)
    issuer.maintain()
    assert len(issuer.keys._documents.all(issuer.keys._store)) == 1


def test_keys_are_replaced_when_they_are_old(issuer: Issuer, clock: ManualClock) -> None:
    (first,) = kids(issuer)
    issuer.maintain()
    clock.advance(90 * DAY - 1)
    issuer.maintain()
    assert kids(issuer) == [first]
    clock.advance(1)
    issuer.maintain()
    assert len(kids(issuer)) == 2
    clock.advance(3900)
    issuer.maintain()
    (second,) = kids(issuer)
    assert second != first


def test_processes_that_start_together_make_one_key(
    store: Store, kek: KeyEncryptionKey, clock: ManualClock
) -> None:
    issuers = [make_issuer(store, kek, clock) for _ in range(3)]
    made = issuers[0].applications.create("web")
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda i=i: tokens.append(issue(i, made))) for i in issuers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 1
    assert len(kids(issuers[0])) == 1


def test_a_rotation_holds_in_another_process_at_once(
    issuer: Issuer, tmp_path: Path, kek: KeyEncryptionKey, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as second:
        elsewhere = make_issuer(second, kek, clock)
        issue(elsewhere, made)
        kid = issuer.keys.rotate()
        assert jwt.get_unverified_header(issue(elsewhere, made))["kid"] == kid
        checked = TokenValidator(elsewhere.trust([VAULT]), clock=clock)
        checked.validate(issue(issuer, made))


def test_the_private_key_is_nowhere_in_the_open(issuer: Issuer, tmp_path: Path) -> None:
    issue(issuer, issuer.applications.create("web"))
    modulus = base64.urlsafe_b64decode(issuer.published_keys()["keys"][0]["n"] + "==")
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert modulus not in files
    assert base64.urlsafe_b64encode(modulus)[:64] not in files
