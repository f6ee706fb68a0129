"""Opening a token: which one, with which PIN, and what is said of a failure."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vaultcore.errors import ConfigurationError, ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.login import Login
from vaultcore.protectors.pkcs11.pin import Pin
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token

Open = Callable[..., Token]


def login(module: str, pause: float) -> Login:
    return Login(
        module=module,
        label="t",
        serial=None,
        pin=Pin(value="1234"),
        environment={},
        deadline=10.0,
        pause=pause,
    )


def test_a_failure_is_repeated_to_all_who_ask_within_the_pause() -> None:
    own = login("/nonexistent.so", pause=30.0)
    assert not own.failed
    with pytest.raises(ProtectorError, match="cannot be loaded") as first:
        own.start()
    assert own.failed
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(ProtectorError) as again:
            own.start()
        assert str(again.value) == str(first.value)
        assert again.value is not first.value, "each caller has an exception of its own"
    assert time.monotonic() - started < 1.0, "no worker was started"


def test_what_the_token_says_of_itself_is_held_to(soft_token: SoftToken) -> None:
    own = Login(
        module=str(soft_token.module),
        label="",
        serial=soft_token.serial,
        pin=Pin(file=soft_token.pin_file),
        environment=soft_token.environment,
        deadline=10.0,
        pause=0.0,
    )
    assert own.opened is None
    worker = own.start()
    worker.close()
    assert own.opened is not None
    assert (own.label, own.serial) == (own.opened.label, own.opened.serial)
    assert own.label == soft_token.label


def test_two_tokens_with_one_label_need_a_serial_number(
    module: Path, tmp_path: Path, own_token: SoftToken, opened: Open
) -> None:
    other = softhsm.make(tmp_path / "other", module=module)
    (folder,) = (other.pin_file.parent / "tokens").iterdir()
    folder.rename(own_token.pin_file.parent / "tokens" / folder.name)
    with pytest.raises(ProtectorError, match="several tokens have the label") as caught:
        opened(own_token, serial=None).open()
    assert own_token.serial in str(caught.value)
    assert other.serial in str(caught.value)
    assert opened(own_token).open().serial == own_token.serial


def test_a_wrong_pin_is_tried_once(own_token: SoftToken, opened: Open, tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("not the pin")
    pin_file.chmod(0o600)
    token = opened(own_token, pin_file=pin_file, pause=0.0)
    with pytest.raises(ProtectorError, match="refused the PIN") as caught:
        token.open()
    assert "not the pin" not in str(caught.value)
    assert not isinstance(caught.value, ProtectorUnavailableError)
    for _ in range(3):
        with pytest.raises(ProtectorError, match="it is not tried again"):
            token.open()
    pin_file.write_text(own_token.pin_file.read_text() + "\n")
    assert token.open().serial == own_token.serial


def test_many_threads_try_a_wrong_pin_once(shim: Any, shimmed: Open, soft_token: SoftToken) -> None:
    token = shimmed(pin="not the pin", pin_file=None, processes=4, pause=0.0)

    def attempt(_: int) -> None:
        with pytest.raises(ProtectorError, match="refused the PIN"):
            token.open()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(8)))
    assert shim.calls().count("C_Login") == 1


@pytest.mark.parametrize(
    ("flag", "words"),
    [(0x20000, "one more wrong PIN would lock the token"), (0x40000, "is locked")],
)
def test_the_last_try_is_not_spent(shim: Any, shimmed: Open, flag: int, words: str) -> None:
    shim.fail("C_GetTokenInfo", 0, f"flags {flag}")
    with pytest.raises(ProtectorError, match=words):
        shimmed().open()
    assert "C_Login" not in shim.calls()


def test_a_wrong_module_is_named(own_token: SoftToken, opened: Open, tmp_path: Path) -> None:
    absent = tmp_path / "absent.so"
    with pytest.raises(ProtectorError, match="cannot be loaded") as caught:
        opened(own_token, module=absent).open()
    assert str(absent) in str(caught.value)
    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(ProtectorError, match="cannot be loaded"):
        opened(own_token, module=text).open()


def test_a_missing_token_names_those_that_are_there(own_token: SoftToken, opened: Open) -> None:
    with pytest.raises(ProtectorUnavailableError, match="`elsewhere` is unavailable") as caught:
        opened(own_token, label="elsewhere", serial=None).open()
    assert f"tokens present: `vaultcore` ({own_token.serial})" in str(caught.value)


def test_a_serial_number_is_enough(own_token: SoftToken, opened: Open) -> None:
    token = opened(own_token, label="")
    assert token.open().label == "vaultcore"
    with pytest.raises(ProtectorUnavailableError, match=r"the token \(0000\) is unavailable"):
        opened(own_token, label="", serial="0000").open()
    with pytest.raises(ConfigurationError, match="give the label of the token"):
        opened(own_token, label="", serial=None)


def test_a_missing_or_open_pin_file_is_named(
    own_token: SoftToken, opened: Open, tmp_path: Path
) -> None:
    with pytest.raises(ProtectorUnavailableError, match=r"the PIN file .* is absent"):
        opened(own_token, pin_file=tmp_path / "absent").open()
    own_token.pin_file.chmod(0o640)
    with pytest.raises(ProtectorError, match="has mode 0640"):
        opened(own_token).open()
