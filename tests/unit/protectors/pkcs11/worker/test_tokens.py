from types import SimpleNamespace
from typing import Any

import pkcs11.exceptions as ck
import pytest
from pkcs11.constants import TokenFlag

from vaultcore.protectors.pkcs11.messages import Opened
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError
from vaultcore.protectors.pkcs11.worker.tokens import describe, load, serial_of, tokens_of


def token(label: str, serial: bytes = b"01", flags: TokenFlag | int = 0) -> Any:
    return SimpleNamespace(
        label=label,
        serial=serial,
        flags=flags | TokenFlag.TOKEN_INITIALIZED,
        manufacturer_id="maker",
        model="model",
    )


class Slot:
    """A slot with a token, or with one that was pulled a moment ago."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def get_token(self) -> Any:
        if isinstance(self.held, Exception):
            raise self.held
        return self.held


def library(*held: Any) -> Any:
    return SimpleNamespace(get_slots=lambda *, token_present: [Slot(one) for one in held])


def test_empty_slots_and_tokens_that_were_just_pulled_are_passed_over() -> None:
    empty = token("empty")
    empty.flags = TokenFlag(0)
    here = token("here")
    found = tokens_of(library(empty, ck.TokenNotPresent(), ck.TokenNotRecognised(), here))
    assert list(found) == [here]


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"0123 ", "0123"), (b"ab\0\0", "ab"), (b"\xff1", "\\xff1"), (b"", "")],
)
def test_a_serial_number_is_text(raw: bytes, text: str) -> None:
    assert serial_of(token("t", raw)) == text


def test_a_token_says_what_it_is() -> None:
    told = Opened(serial="01", label="t", manufacturer="maker", model="model")
    assert describe(token("t")) == told


def test_a_module_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(RefusalError) as refused:
        load("/nonexistent/module.so")
    assert refused.value.category == "configuration"
    assert "`/nonexistent/module.so` cannot be loaded" in refused.value.text
