"""The rules of secrets: limits of a value, and who sees it when."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError, ForbiddenError, TamperedError
from vaultcore.objects.attributes import Attributes, Metadata
from vaultcore.objects.secrets import MAXIMUM_VALUE, CachedSecret, SecretRules

Do = Callable[[Any], Any]


def test_a_value_has_a_length_in_bytes(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "ä" * (MAXIMUM_VALUE // 2)))
    with pytest.raises(BadParameterError, match=f"{MAXIMUM_VALUE + 1} bytes"):
        secrets.set("name", "NAME", "ä" * (MAXIMUM_VALUE // 2) + "a")


def test_a_value_is_unicode(secrets: SecretRules) -> None:
    with pytest.raises(BadParameterError, match="not valid Unicode") as refused:
        secrets.set("name", "NAME", "canary\ud800")
    assert "canary" not in str(refused.value)


def test_a_content_type_has_a_length_in_characters(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "v", content_type="ä" * 255))
    for refuse in (
        lambda: secrets.set("name", "NAME", "v", content_type="a" * 256),
        lambda: secrets.update("NAME", "", content_type="a" * 256),
    ):
        with pytest.raises(BadParameterError, match="contentType"):
            refuse()


def test_what_is_refused_is_refused_before_the_store_is_asked(secrets: SecretRules) -> None:
    secrets.store.close()
    wrong: list[dict[str, Any]] = [{"tags": {"": ""}}, {"attributes": Attributes(expires=-1)}]
    for given in wrong:
        with pytest.raises(BadParameterError):
            secrets.set("name", "NAME", "v", **given)


def test_a_disabled_secret_keeps_its_value(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value", attributes=Attributes(enabled=False)))
    with pytest.raises(ForbiddenError) as refused:
        secrets.reveal(secrets.load("NAME", ""))
    assert refused.value.inner_code == "SecretDisabled"


def test_an_expired_secret_keeps_its_value_where_that_is_enforced(
    secrets: SecretRules, do: Do, clock: ManualClock
) -> None:
    expires = int(clock.now()) + 10
    do(secrets.set("name", "NAME", "value", attributes=Attributes(expires=expires)))
    found = secrets.load("NAME", "")
    clock.advance(9.9)
    assert secrets.reveal(found) == b"value"
    clock.advance(0.1)
    with pytest.raises(ForbiddenError) as refused:
        secrets.reveal(found)
    assert refused.value.inner_code == "SecretExpired"
    secrets.vault.apply(msgspec.structs.replace(secrets.vault.settings, secret_expiry="inform"))
    assert secrets.reveal(found) == b"value"


@pytest.mark.parametrize("metadata", [Metadata(1, 1, enabled=False), Metadata(1, 1, expires=2)])
def test_a_refusal_does_not_rest_on_what_was_changed_outside(
    secrets: SecretRules, do: Do, metadata: Metadata
) -> None:
    """Whoever writes the database cannot make the vault say that a secret is disabled."""
    do(secrets.set("name", "NAME", "value"))
    found = secrets.load("NAME", "")
    context = secrets.context("NAME", found.version, "changed")
    forged = msgspec.structs.replace(found, metadata=metadata, context=context)
    with pytest.raises(TamperedError):
        secrets.reveal(forged)


def test_what_a_rekey_moved_since_it_was_read_is_read_again(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value"))
    found = secrets.load("NAME", "")
    broken = bytes([*found.payload[:-1], found.payload[-1] ^ 1])
    assert secrets.reveal(msgspec.structs.replace(found, payload=broken)) == b"value"
    _, stored = secrets.find("NAME")

    def breaks(transaction: Any) -> None:
        transaction.update_version(stored.sequence, metadata=stored.metadata, payload=broken)
        transaction.changed(secrets.vault.id, "secrets", "NAME", stored.version, "update")

    do(breaks)
    with pytest.raises(TamperedError):
        secrets.reveal(secrets.load("NAME", ""))


def test_a_version_that_was_read_is_kept(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value"))
    found = secrets.load("NAME", "")
    assert secrets.load("NAME", "") is found
    secrets.vault.invalidate("secrets", "NAME")  # type: ignore[attr-defined]
    assert secrets.load("NAME", "") is not found


def test_what_is_kept_shows_no_value() -> None:
    kept = CachedSecret("name", "0" * 32, Metadata(1, 1), b"canary", None)  # type: ignore[arg-type]
    assert repr(kept) == f"CachedSecret(name/{'0' * 32})"
