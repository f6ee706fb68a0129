from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import DecryptionError, ProtectorError, TamperedError
from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.wraps import VaultKey


@pytest.fixture
def protector(tmp_path: Path) -> Iterator[FileProtector]:
    made = FileProtector.create(tmp_path / "key")
    yield made
    made.close()


@pytest.fixture
def key() -> VaultKey:
    return VaultKey(KeyEncryptionKey.generate())


def test_a_wrap_opens_under_its_protector_alone(
    protector: FileProtector, key: VaultKey, tmp_path: Path
) -> None:
    wrap = key.wrap(protector)
    found = VaultKey.unwrap(protector, wrap)
    assert found.kek.open(key.kek.seal(b"text", context={}), context={}) == b"text"
    assert not found.rekeying
    assert key.wrap(protector) != wrap
    other = FileProtector.create(tmp_path / "other")
    with pytest.raises(ProtectorError, match="holds another key"):
        VaultKey.unwrap(other, wrap)


def test_a_rotated_key_opens_what_the_older_one_sealed(key: VaultKey) -> None:
    before = key.kek.seal(b"before", context={})
    rotated = key.rotated(rekeying=True)
    assert rotated.rekeying
    assert rotated.kek.open(before, context={}) == b"before"
    after = rotated.kek.seal(b"after", context={})
    with pytest.raises(DecryptionError):
        key.kek.open(after, context={})


def test_a_retired_key_has_its_newest_generation_only(key: VaultKey) -> None:
    before = key.kek.seal(b"before", context={})
    rotated = key.rotated(rekeying=True)
    after = rotated.kek.seal(b"after", context={})
    retired = rotated.retired()
    assert not retired.rekeying
    assert retired.kek.open(after, context={}) == b"after"
    with pytest.raises(DecryptionError):
        retired.kek.open(before, context={})
    assert rotated.kek.open(before, context={}) == b"before", "a copy was retired"


def test_that_a_rekey_is_under_way_is_in_the_wrap(protector: FileProtector, key: VaultKey) -> None:
    wrap = key.rotated(rekeying=True).wrap(protector)
    assert VaultKey.unwrap(protector, wrap).rekeying


def test_nobody_else_can_say_that_a_rekey_is_under_way(
    protector: FileProtector, key: VaultKey
) -> None:
    wrap = msgspec.json.decode(key.wrap(protector))
    marked = msgspec.json.decode(key.rotated(rekeying=True).wrap(protector))
    wrap["rekey"] = marked["rekey"]  # from another wrap
    with pytest.raises(ProtectorError, match="was changed outside the vault"):
        VaultKey.unwrap(protector, msgspec.json.encode(wrap))


def test_halves_of_two_wraps_do_not_open(protector: FileProtector, key: VaultKey) -> None:
    first, second = (msgspec.json.decode(key.wrap(protector)) for _ in range(2))
    mixed = msgspec.json.encode({**first, "kek": second["kek"]})
    with pytest.raises(ProtectorError, match="was changed outside the vault"):
        VaultKey.unwrap(protector, mixed)


@pytest.mark.parametrize("wrap", [b"", b"{}", b'{"outer": 1, "kek": 2}', b"\xff"])
def test_what_is_not_a_wrap_is_told(protector: FileProtector, wrap: bytes) -> None:
    with pytest.raises(TamperedError, match="cannot be read"):
        VaultKey.unwrap(protector, wrap)
