from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from vaultcore.errors import ProtectorError, UsageError
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.protectors.protector import Protector

SECRET = bytes(range(32))


def test_wraps_and_unwraps(protector: Pkcs11Protector) -> None:
    wrapped = protector.wrap(SECRET)
    assert SECRET not in wrapped
    assert protector.unwrap(wrapped) == SECRET
    assert protector.wrap(SECRET) != wrapped
    assert isinstance(protector, Protector)


def test_creating_a_key_twice_is_refused(token: Token, protector: Pkcs11Protector) -> None:
    with pytest.raises(ProtectorError, match="has a key with the label `shared` already"):
        Pkcs11Protector.create(token, key_label="shared")


def test_a_described_protector_opens_again(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Callable[..., Token]
) -> None:
    wrapped = protector.wrap(SECRET)
    told = protector.describe()
    again = Pkcs11Protector(
        opened(soft_token, serial=told["token_serial"]),
        key_id=told["key_id"],
        check_value=told["check_value"],
    )
    assert again.unwrap(wrapped) == SECRET


def test_a_protector_finds_its_key_by_label(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Callable[..., Token]
) -> None:
    again = Pkcs11Protector(opened(soft_token), key_label="shared")
    assert again.unwrap(protector.wrap(SECRET)) == SECRET


def test_a_missing_key_is_named(token: Token) -> None:
    with pytest.raises(ProtectorError, match="has no AES key with the label `nowhere`"):
        Pkcs11Protector(token, key_label="nowhere").wrap(SECRET)


def test_every_change_of_a_wrapped_key_is_found(protector: Pkcs11Protector) -> None:
    wrapped = protector.wrap(SECRET)
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(ProtectorError):
            protector.unwrap(bytes(changed))
    for size in range(len(wrapped)):
        with pytest.raises(ProtectorError):
            protector.unwrap(wrapped[:size])
    assert protector.unwrap(wrapped) == SECRET


def test_a_key_wrapped_elsewhere_names_both_keys(
    module: Path, tmp_path: Path, protector: Pkcs11Protector
) -> None:
    other = Pkcs11Protector.create(softhsm.make(tmp_path / "other", module=module).token())
    theirs, ours = other.describe(), protector.describe()
    with pytest.raises(ProtectorError) as caught:
        protector.unwrap(other.wrap(SECRET))
    other.close()
    text = str(caught.value)
    for told in (theirs, ours):
        assert told["key_id"] in text
        assert told["check_value"] in text
        assert told["token_serial"] in text
    assert text.index(theirs["key_id"]) < text.index(ours["key_id"])


def test_sixteen_threads_wrap_at_once(protector: Pkcs11Protector) -> None:
    def work(number: int) -> bool:
        secrets = [number.to_bytes(1, "big") * 31 + bytes([i]) for i in range(25)]
        return all(protector.unwrap(protector.wrap(secret)) == secret for secret in secrets)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_a_pool_of_workers_gives_the_same_answers(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Callable[..., Token]
) -> None:
    token = opened(soft_token, processes=3)
    pooled = Pkcs11Protector(token, key_label="shared")
    with ThreadPoolExecutor(8) as pool:
        wrapped = list(pool.map(lambda _: pooled.wrap(SECRET), range(60)))
    assert 1 < len(token.workers) <= 3
    assert {protector.unwrap(blob) for blob in wrapped} == {SECRET}


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_only_keys_are_wrapped(protector: Pkcs11Protector, size: int) -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        protector.wrap(bytes(size))


def test_an_id_is_hexadecimal(token: Token) -> None:
    with pytest.raises(UsageError, match="hexadecimal"):
        Pkcs11Protector(token, key_id="xyz")
    with pytest.raises(UsageError, match="both or neither"):
        Pkcs11Protector(token, check_value="00")


def test_a_newer_format_is_named(protector: Pkcs11Protector) -> None:
    header = msgspec.msgpack.encode((2, b"", "", "", ""))
    blob = b"VCPT" + msgspec.msgpack.encode((header, bytes(12), bytes(48)))
    with pytest.raises(ProtectorError, match="newer version"):
        protector.unwrap(blob)


def test_a_strange_blob_is_named(protector: Pkcs11Protector) -> None:
    with pytest.raises(ProtectorError, match="not wrapped by a pkcs11 protector"):
        protector.unwrap(b"something else")
