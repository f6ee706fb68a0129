from pathlib import Path

import pytest

from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.list_file import read_list, write_list
from vaultcore.protectors.options import ProtectorOptions, planned
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.protector import AbsentProtector
from vaultcore.protectors.registry import (
    create_planned,
    create_protectors,
    open_protector,
    open_protectors,
)

SECRET = bytes(range(32))
FILE = planned(ProtectorOptions("file", "file"))
SPARE = planned(ProtectorOptions("spare", "file"))


def test_what_was_created_is_written_down_and_opens_again(tmp_path: Path) -> None:
    made = create_protectors(tmp_path, [FILE, SPARE])
    assert [known.name for known in read_list(tmp_path)] == ["file", "spare"]
    opened = open_protectors(tmp_path)
    for before, after in zip(made, opened, strict=True):
        assert after.unwrap(before.wrap(SECRET)) == SECRET


def test_a_creation_that_fails_closes_the_others_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "spare.json").touch()
    announced: list[Path] = []
    with pytest.raises(ProtectorError, match="exists already"):
        create_protectors(tmp_path, [FILE, SPARE], announce=lambda path, _: announced.append(path))
    assert announced == [tmp_path / "keys" / name for name in ("file.json", "spare.json")]
    with pytest.raises(ConfigurationError, match="is missing"):
        read_list(tmp_path)


def test_one_that_cannot_be_opened_keeps_no_other_from_it(tmp_path: Path) -> None:
    create_protectors(tmp_path, [FILE, SPARE])
    (tmp_path / "keys" / "spare.json").unlink()
    file, spare = open_protectors(tmp_path)
    assert isinstance(file, FileProtector)
    assert isinstance(spare, AbsentProtector)
    assert "is absent" in spare.describe()["absent"]


def test_those_that_are_open_and_still_named_are_kept(tmp_path: Path) -> None:
    held = create_protectors(tmp_path, [FILE, SPARE])
    assert open_protectors(tmp_path, held=held) == held
    write_list(tmp_path, read_list(tmp_path)[:1])
    assert open_protectors(tmp_path, held=held) == held[:1]
    with pytest.raises(Exception, match="is closed"):
        held[1].wrap(SECRET)
    assert held[0].unwrap(held[0].wrap(SECRET)) == SECRET


def test_one_with_another_key_under_the_same_name_is_not_kept(tmp_path: Path) -> None:
    (held,) = create_protectors(tmp_path, [FILE])
    (tmp_path / "keys" / "file.json").unlink()
    create_protectors(tmp_path, [FILE])
    (opened,) = open_protectors(tmp_path, held=[held])
    assert opened is not held
    assert opened.describe()["key_id"] != held.describe()["key_id"]


def test_a_passphrase_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_text("correct horse\nand more")
    plan = planned(ProtectorOptions("file", "file", {"passphrase_file": "passphrase"}))
    made, known = create_planned(tmp_path, plan)
    assert known.options["key_id"] == made.describe()["key_id"]
    wrapped = made.wrap(SECRET)
    given = {name: value for name, value in known.options.items() if name != "passphrase_file"}
    by_hand = open_protector(tmp_path, ProtectorOptions("file", "file", given), "correct horse")
    assert by_hand.unwrap(wrapped) == SECRET


def test_one_whose_addition_was_not_finished_is_not_opened(tmp_path: Path) -> None:
    begun = ProtectorOptions("file", "file", FILE.options, state="adding")
    with pytest.raises(ProtectorError, match="was not finished: add it again, or remove it"):
        open_protector(tmp_path, begun, None)


@pytest.mark.skipif(softhsm.find_module() is None, reason="install the package softhsm2")
def test_a_protector_in_a_token_is_found_by_its_options(tmp_path: Path) -> None:
    (made,) = create_protectors(tmp_path, [planned(ProtectorOptions("hsm", "softhsm"))])
    (known,) = read_list(tmp_path)
    assert isinstance(made, Pkcs11Protector)
    assert made.found_by == known.options
    assert made.keys.available
    assert open_protectors(tmp_path, held=[made]) == [made]
    changed = {**known.options, "check_value": "0" * 16}
    write_list(tmp_path, [ProtectorOptions("hsm", "softhsm", changed)])
    (other,) = open_protectors(tmp_path, held=[made])
    assert other is not made
    other.close()
