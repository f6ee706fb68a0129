"""A folder on this machine answers a command in the contract's shapes."""

from pathlib import Path

import pytest

import vaultcore
from unit.cli.terminal import KeptConnection
from vaultcore.cli.local import LocalConnection, read_passphrase
from vaultcore.cli.outcome import MISSING, CommandError
from vaultcore.errors import (
    BadParameterError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    ProtectorError,
    UnreadableError,
)
from vaultcore.library.engine import LibraryEngine

URL = "https://dev.vault.localhost"


@pytest.fixture
def here(engine: LibraryEngine) -> KeptConnection:
    return KeptConnection(engine, engine.administrator())


def test_a_request_is_answered_as_over_https(here: KeptConnection) -> None:
    stored = here.request("dev", "PUT", "/secrets/a", body={"value": "v", "tags": {"t": "1"}})
    version = stored["id"].rpartition("/")[2]
    assert stored["id"] == f"{URL}/secrets/a/{version}"
    assert here.request("DEV", "GET", "/secrets/A")["value"] == "v"
    assert here.request("dev", "GET", f"/secrets/a/{version}") == stored
    deleted = here.request("dev", "DELETE", "/secrets/a")
    assert deleted["recoveryId"] == f"{URL}/deletedsecrets/a"
    assert here.request("dev", "DELETE", "/deletedsecrets/a") is None


def test_a_query_reaches_the_operation(here: KeptConnection) -> None:
    for name in ("a", "b", "c"):
        here.request("dev", "PUT", f"/secrets/{name}", body={"value": "v"})
    page = here.request("dev", "GET", "/secrets", query={"maxresults": "2"})
    assert [item["id"] for item in page["value"]] == [f"{URL}/secrets/a", f"{URL}/secrets/b"]
    assert page["nextLink"].startswith(f"{URL}/secrets?")
    older = here.request("dev", "GET", "/secrets/a", query={"api-version": "7.3"})
    assert older["value"] == "v"


@pytest.mark.parametrize(
    ("method", "path", "query", "kind"),
    [
        ("GET", "/secrets/a_b", {}, BadParameterError),
        ("GET", "/secrets/a", {"api-version": "1.0"}, BadParameterError),
        ("GET", "/secrets/none", {}, NotFoundError),
        ("GET", "/certificates", {}, NotFoundError),
    ],
)
def test_what_cannot_be_asked(
    here: KeptConnection, method: str, path: str, query: dict[str, str], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        here.request("dev", method, path, query=query)


def test_there_is_no_such_vault(here: KeptConnection) -> None:
    with pytest.raises(NotFoundError):
        here.request("none", "GET", "/secrets/a")


def test_an_application_may_do_what_it_was_granted(engine: LibraryEngine) -> None:
    engine.management.app_create(name="web")
    engine.management.access_set(vault="dev", principal="web", secret_permissions=["set"])
    web = KeptConnection(engine, engine.application("web"))
    web.request("dev", "PUT", "/secrets/a", body={"value": "v"})
    with pytest.raises(ForbiddenError):
        web.request("dev", "GET", "/secrets/a")
    with pytest.raises(ForbiddenError):
        web.manage("vault.list")
    with pytest.raises(ForbiddenError):
        web.kek("dev", "files")


def test_arguments_that_are_none_are_left_out(here: KeptConnection) -> None:
    assert here.manage("vault.update", name="dev", sku=None, secret_expiry="inform")
    assert here.manage("audit.query", vault="dev", status=None)


def test_progress_is_told_to_whoever_watches(here: KeptConnection) -> None:
    told: list[tuple[str, int, int]] = []
    here.watch(lambda *given: told.append(given))
    here.manage("installation.rekey", vault="dev")
    assert told
    assert all(done <= total or not total for _, done, total in told)


def test_the_key_of_files_is_handed_out(here: KeptConnection) -> None:
    here.request("dev", "POST", "/keys/files/create", body={"kty": "oct", "key_size": 256})
    kek = here.kek("dev", "files")
    assert kek.open(kek.seal(b"x", context={}), context={}) == b"x"


def test_an_identifier_of_another_service_is_refused(here: KeptConnection) -> None:
    here.check_place("dev", f"{URL}/secrets/a")
    here.check_place("dev", f"{URL}:9999/secrets/a")  # the port may have changed
    with pytest.raises(CommandError, match="use --url"):
        here.check_place("dev", "https://dev.vault.example/secrets/a")
    with pytest.raises(CommandError):
        here.check_place("dev", "https://other.vault.localhost/secrets/a")


def test_a_folder_is_opened_and_closed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        LocalConnection.open(tmp_path / "none", acting_as=None, passphrase_file=None)
    word = tmp_path / "word"
    word.write_text("open sesame\nanother line\n")
    vaultcore.create(tmp_path / "data", passphrase="open sesame", housekeeping=False).close()
    opened = LocalConnection.open(tmp_path / "data", acting_as=None, passphrase_file=word)
    assert opened.manage("vault.list") == []
    opened.close()
    with pytest.raises(ProtectorError):
        LocalConnection.open(tmp_path / "data", acting_as=None, passphrase_file=None)
    with pytest.raises(CommandError) as caught:
        LocalConnection.open(tmp_path / "data", acting_as="web", passphrase_file=word)
    assert caught.value.status == MISSING


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [(b"word\n", "word"), (b"two words ", "two words "), (b"a\nb", "a")],
)
def test_a_passphrase_is_the_first_line(tmp_path: Path, content: bytes, passphrase: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_passphrase(tmp_path / "file") == passphrase


def test_a_passphrase_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_passphrase(None) is None
    with pytest.raises(UnreadableError):
        read_passphrase(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableError):
        read_passphrase(tmp_path / "file")
