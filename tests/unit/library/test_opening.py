"""Making a data folder and opening it: what is said of it is what it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from vaultcore.clock import ManualClock
from vaultcore.errors import ConfigurationError
from vaultcore.library.engine import LibraryEngine
from vaultcore.library.opening import create_engine, open_engine


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "audit" / "audit.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def test_what_an_installation_is_called_stays(tmp_path: Path, clock: ManualClock) -> None:
    given: dict[str, Any] = {
        "tenant_id": "11111111-2222-3333-4444-555555555555",
        "domain": "vault.example:8443",
        "issuer_url": "https://login.example",
        "location": "here",
        "audiences": ("https://vault.example",),
    }
    with create_engine(tmp_path / "data", clock=clock, housekeeping=False, **given) as made:
        installation = made.installation
    for name, value in given.items():
        assert getattr(installation, name) == value
    assert installation.created == int(clock.now())
    with open_engine(tmp_path / "data", clock=clock, housekeeping=False) as opened:
        assert opened.installation == installation
        assert isinstance(opened, LibraryEngine)


def test_the_issuer_is_in_the_domain_unless_it_is_named(tmp_path: Path) -> None:
    with create_engine(tmp_path / "data", housekeeping=False) as made:
        assert made.installation.issuer_url == "https://login.vault.localhost"
        assert made.installation.domain == "vault.localhost"


def test_two_installations_share_no_name(tmp_path: Path) -> None:
    with (
        create_engine(tmp_path / "one", housekeeping=False) as one,
        create_engine(tmp_path / "two", housekeeping=False) as two,
    ):
        for name in ("id", "tenant_id", "operator"):
            assert getattr(one.installation, name) != getattr(two.installation, name)


def test_the_first_record_says_whom_it_obeys(tmp_path: Path) -> None:
    with create_engine(tmp_path / "data", housekeeping=False) as made:
        operator = made.installation.operator
    created, *_ = [
        record for record in records(tmp_path / "data")
        if record["operationName"] == "InstallationPut"
    ]  # fmt: skip
    assert created["properties"]["httpStatusCode"] == 201
    assert created["properties"]["operator"] == operator
    assert created["properties"]["domain"] == "vault.localhost"


def test_what_belongs_to_the_making_is_made_too_or_nothing_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    def fail(engine: LibraryEngine) -> None:
        engine.management.vault_create(name="dev")
        raise OSError("in the middle")

    with pytest.raises(OSError, match="in the middle"):
        create_engine(folder, housekeeping=False, first=fail)
    with pytest.raises(ConfigurationError):
        open_engine(folder, housekeeping=False)

    def first(engine: LibraryEngine) -> None:
        engine.management.vault_create(name="dev")

    with create_engine(folder, housekeeping=False, first=first) as made:
        assert made.vault("dev").name == "dev"


@pytest.mark.parametrize("housekeeping", [False, True])
def test_housekeeping_runs_if_it_is_wanted(tmp_path: Path, housekeeping: bool) -> None:
    with create_engine(tmp_path / "data", housekeeping=housekeeping) as made:
        assert (made.housekeeper._watch is not None) == housekeeping
    with open_engine(tmp_path / "data", housekeeping=housekeeping) as opened:
        assert (opened.housekeeper._watch is not None) == housekeeping


def test_it_goes_by_the_clock_that_it_is_given(tmp_path: Path) -> None:
    create_engine(tmp_path / "data", housekeeping=False, clock=ManualClock(5.0)).close()
    with open_engine(tmp_path / "data", housekeeping=False, clock=ManualClock(9.0)) as opened:
        assert opened.clock.now() == 9.0
        opened.management.vault_create(name="dev")
        assert opened.state("dev").settings.created == 9
