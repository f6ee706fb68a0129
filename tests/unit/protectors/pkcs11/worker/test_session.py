"""Which token a session is opened with, and that no other is shown the PIN."""

from types import SimpleNamespace
from typing import Any

import pkcs11.exceptions as ck
import pytest
from pkcs11.constants import TokenFlag

from vaultcore.protectors.pkcs11.messages import Category, Open
from vaultcore.protectors.pkcs11.worker import session
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError
from vaultcore.protectors.pkcs11.worker.session import Session


class PresentToken:
    """A token that notes which PIN it is shown."""

    manufacturer_id = "maker"
    model = "model"

    def __init__(self, label: str, serial: bytes) -> None:
        self.label = label
        self.serial = serial
        self.flags = TokenFlag.TOKEN_INITIALIZED
        self.shown: list[str] = []
        self.fails: Exception | None = None

    def open(self, *, rw: bool, user_pin: str) -> str:
        assert rw
        self.shown.append(user_pin)
        if self.fails is not None:
            raise self.fails
        return "handle"


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> list[PresentToken]:
    """The tokens that the module shows; two of one label."""
    tokens = [PresentToken("t", b"01"), PresentToken("t", b"02"), PresentToken("other", b"03")]

    def load(_: str) -> Any:
        slots = [SimpleNamespace(get_token=lambda token=token: token) for token in tokens]
        return SimpleNamespace(get_slots=lambda *, token_present: slots)

    monkeypatch.setattr(session, "load", load)
    return tokens


def open_session(label: str, serial: str | None) -> Session:
    return Session.open(Open(module="m", token_label=label, serial=serial, pin="1234"))


@pytest.mark.parametrize(
    ("label", "serial", "place"), [("t", "02", 1), ("", "03", 2), ("other", None, 2)]
)
def test_the_token_that_was_asked_for_is_opened(
    present: list[PresentToken], label: str, serial: str | None, place: int
) -> None:
    opened = open_session(label, serial)
    assert opened.token is present[place]
    assert opened.handle == "handle"
    assert opened.describe().serial == present[place].serial.decode()
    assert [token.shown for token in present] == [
        ["1234"] if number == place else [] for number in range(3)
    ]


@pytest.mark.parametrize(
    ("label", "serial", "category", "words"),
    [
        ("t", "03", "changed", "expected serial number 03, found 01, 02; it was not shown the PIN"),
        ("t", None, "configuration", "with serial numbers 01, 02: configure the serial number"),
        (
            "none",
            None,
            "unavailable",
            "`none` is unavailable: tokens present: `t` (01), `t` (02), ",
        ),
        ("", "99", "unavailable", "the token (99) is unavailable"),
    ],
)
def test_no_other_token_is_shown_the_pin(
    present: list[PresentToken], label: str, serial: str | None, category: Category, words: str
) -> None:
    with pytest.raises(RefusalError) as refused:
        open_session(label, serial)
    assert refused.value.category == category
    assert words in refused.value.text
    assert not any(token.shown for token in present)


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_LOCKED, TokenFlag.USER_PIN_FINAL_TRY])
def test_the_last_try_is_not_spent(present: list[PresentToken], flag: TokenFlag) -> None:
    present[2].flags |= flag
    with pytest.raises(RefusalError) as refused:
        open_session("other", None)
    assert refused.value.category == "pin"
    assert not present[2].shown


@pytest.mark.parametrize(
    ("code", "category"),
    [(ck.PinIncorrect(), "pin"), (ck.PinLocked(), "pin"), (ck.DeviceError(), "unavailable")],
)
def test_a_login_that_fails_is_told(
    present: list[PresentToken], code: Exception, category: Category
) -> None:
    present[2].fails = code
    with pytest.raises(RefusalError) as refused:
        open_session("other", None)
    assert refused.value.category == category
    assert "1234" not in refused.value.text
