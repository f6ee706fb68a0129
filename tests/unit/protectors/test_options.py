import msgspec
import pytest

from vaultcore.errors import ConfigurationError
from vaultcore.protectors.options import ProtectorOptions, is_made, planned

PKCS11 = {"module": "/usr/lib/module.so", "token_label": "t", "pin_file": "pin"}


@pytest.mark.parametrize(
    "options",
    [
        ProtectorOptions("file", "file"),
        ProtectorOptions("file", "file", {"path": "/mnt/key", "passphrase_file": "p"}),
        ProtectorOptions("hsm", "pkcs11", PKCS11),
        ProtectorOptions("x" * 64, "softhsm", {"folder": "token"}),
    ],
)
def test_options_that_are_complete(options: ProtectorOptions) -> None:
    options.check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ProtectorOptions("a", "shamir"), "the kinds are file, pkcs11, softhsm"),
        (ProtectorOptions("a", "x" * 100), f"of kind `{'x' * 32}`"),
        (ProtectorOptions("", "file"), "1 to 64 characters and no slash"),
        (ProtectorOptions("a/b", "file"), "1 to 64 characters and no slash"),
        (ProtectorOptions("a" * 65, "file"), "1 to 64 characters and no slash"),
        (
            ProtectorOptions("a", "file", {"folder": "f", "pin": "1"}),
            "unknown options: folder, pin",
        ),
        (
            ProtectorOptions("a", "pkcs11", {"module": "m"}),
            "missing options: pin_file, token_label",
        ),
    ],
)
def test_options_that_are_refused(options: ProtectorOptions, words: str) -> None:
    for refuse in (options.check, lambda: planned(options)):
        with pytest.raises(ConfigurationError, match=words):
            refuse()


def test_a_plan_says_where_the_key_will_be() -> None:
    assert planned(ProtectorOptions("spare", "file")).options == {"path": "keys/spare.json"}
    given = ProtectorOptions("spare", "file", {"path": "/mnt/key"})
    assert planned(given) == given
    soft = planned(ProtectorOptions("hsm", "softhsm")).options
    assert (soft["folder"], soft["key_label"]) == ("token", "vaultcore-hsm")
    hard = planned(ProtectorOptions("hsm", "pkcs11", {**PKCS11, "key_label": "own"})).options
    assert hard.items() >= {**PKCS11, "key_label": "own"}.items()


def test_a_plan_names_the_key_that_an_interrupted_attempt_leaves_behind() -> None:
    first, second = (planned(ProtectorOptions("hsm", "softhsm")).options for _ in range(2))
    assert len(bytes.fromhex(first["key_id"])) == 16
    assert first["key_id"] != second["key_id"]


def test_a_plan_is_not_bound_to_a_key_that_was_made_before() -> None:
    before = ProtectorOptions("hsm", "softhsm", {"key_id": "00", "check_value": "aa"})
    assert planned(before).options["key_id"] != "00"
    assert not is_made(planned(before))
    assert not is_made(planned(ProtectorOptions("file", "file", {"key_id": "00"})))


def test_what_is_known_of_a_key_tells_that_it_was_made() -> None:
    assert is_made(ProtectorOptions("file", "file", {"key_id": "00"}))
    assert is_made(ProtectorOptions("hsm", "pkcs11", {**PKCS11, "check_value": "aa"}))
    assert not is_made(ProtectorOptions("hsm", "pkcs11", {**PKCS11, "key_id": "00"}))


def test_they_are_written_without_what_is_empty() -> None:
    options = ProtectorOptions("file", "file")
    assert msgspec.json.encode(options) == b'{"name":"file","kind":"file"}'
