from pathlib import Path

import pytest

from vaultcore.errors import ConfigurationError, ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.pkcs11.pin import MAX_PIN_FILE, Pin


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.touch(0o600)
    return path


def test_a_pin_is_given_or_read(file: Path) -> None:
    assert Pin(value="1234").read() == "1234"
    file.write_text("5678")
    assert Pin(file=file).read() == "5678"
    assert Pin(file=str(file)).read() == "5678"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_the_end_of_the_line_does_not_belong_to_it(file: Path, end: str) -> None:
    file.write_bytes(b" 12 34 " + end.encode())
    assert Pin(file=file).read() == " 12 34 "


def test_neither_and_both_are_refused(file: Path) -> None:
    for given in ({}, {"value": "1234", "file": str(file)}):
        with pytest.raises(ConfigurationError, match="either the PIN"):
            Pin(**given)


def test_a_refused_pin_is_not_tried_again_until_the_file_changes(file: Path) -> None:
    file.write_text("wrong")
    pin = Pin(file=file)
    pin.refuse(pin.read(), "the token refused it")
    for _ in range(3):
        with pytest.raises(ProtectorError, match="the token refused it: it is not tried again"):
            pin.read()
    file.write_text("right")
    assert pin.read() == "right"
    file.write_text("wrong")
    with pytest.raises(ProtectorError, match="is not tried again"):
        pin.read()


def test_a_file_without_a_pin_is_named(file: Path) -> None:
    with pytest.raises(ProtectorError, match="is empty: write the PIN into it"):
        Pin(file=file).read()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ProtectorError, match="is not text"):
        Pin(file=file).read()
    file.write_text("1" * (MAX_PIN_FILE + 1))
    with pytest.raises(ProtectorError, match="is larger than any PIN file"):
        Pin(file=file).read()
    file.unlink()
    with pytest.raises(ProtectorUnavailableError, match="is absent"):
        Pin(file=file).read()


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    file.write_text("1234")
    file.chmod(0o644)
    with pytest.raises(ProtectorError, match="others can reach it"):
        Pin(file=file).read()


def test_it_shows_nothing_of_itself() -> None:
    pin = Pin(value="canary")
    pin.refuse("canary", "refused")
    assert "canary" not in repr(pin)
    with pytest.raises(ProtectorError) as refused:
        pin.read()
    assert "canary" not in str(refused.value)
