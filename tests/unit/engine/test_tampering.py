"""Somebody changes one row of the database: it concerns what the row is about, and nothing else."""

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vaultcore
from vaultcore import Engine
from vaultcore.access.issuer import Shape
from vaultcore.clock import ManualClock
from vaultcore.engine.vaults import RETRY_SECONDS
from vaultcore.errors import NotFoundError, StorageError, TamperedError, VaultcoreError

VAULTS = ("one", "two")
TABLES = {
    "objects": ("vault_id", "kind", "key", "name", "current", "deleted_at", "purge_at", "seal"),
    "versions": ("object_id", "version", "metadata", "payload"),
    "documents": ("collection", "key", "blob"),
    "changes": ("vault_id", "kind", "key", "version", "what", "at"),
}
MOVING = ("object_id", "vault_id")
# What the installation cannot be without: without these nothing may open.
OF_ALL = {("installation", "settings"), ("vault-keys", "system/file"), ("audit", "state")}


def concerns_all(row: dict[str, Any]) -> bool:
    place = (row["collection"], row["key"])
    return place in OF_ALL or (place[0] == "keys" and place[1].startswith("audit-"))


class NotUtf8(bytes):
    """Text as SQLite takes it from anybody."""


@dataclass
class Folder:
    """A data folder that is closed, and what is in it."""

    path: Path
    clock: ManualClock
    credentials: dict[str, str]
    truth: dict[str, Any]
    owners: dict[str, str]


def fill(engine: Engine) -> dict[str, str]:
    for name in VAULTS:
        engine.management.vault_create(name=name)
        vault = engine.vault(name).acting_as(engine.administrator())
        vault.secrets.set("a", f"{name} old", tags={"t": name})
        vault.secrets.set("a", f"{name} new", expires=int(engine.clock.now()) + 1000)
        vault.secrets.set("off", f"{name} off", enabled=False)
        vault.secrets.set("gone", f"{name} gone")
        vault.secrets.delete("gone")
        vault.keys.create("k", "oct")
    credentials: dict[str, str] = {}
    for name in ("first", "second"):
        made = engine.management.app_create(name=name)
        credentials[name] = made["client_id"] + " " + made["client_secret"]
    for text in credentials.values():
        token_for(engine, text)
    return credentials


def token_for(engine: Engine, text: str) -> str:
    credential = engine.issuer.applications.authenticate(*text.split())
    if credential is None:
        raise NotFoundError("there is no such application")
    issued = engine.issuer.issue(
        credential,
        resource=engine.installation.resource,
        tenant=engine.installation.tenant_id,
        shape=Shape.V2,
    )
    return issued.token


def facts(engine: Engine, credentials: dict[str, str]) -> dict[str, Callable[[], Any]]:
    """Returns everything that can be asked, by whose it is and what it is."""

    def in_vault(name: str, ask: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: ask(engine.vault(name).acting_as(engine.administrator()))

    questions: dict[str, Callable[[Any], Any]] = {
        "secret": lambda v: str(v.secrets.get("a")) + v.secrets.get("a").value,
        "off": lambda v: v.secrets.get("off").value,
        "deleted": lambda v: str(v.secrets.get_deleted("gone")),
        "list": lambda v: [str(item) for item in v.secrets.list()],
        "versions": lambda v: sorted(str(item) for item in v.secrets.list_versions("a")),
        "key": lambda v: str(v.keys.get("k")),
    }
    asked = {
        f"{name} {what}": in_vault(name, ask) for name in VAULTS for what, ask in questions.items()
    }
    for app, text in credentials.items():
        asked[f"app {app}"] = lambda text=text: engine.validate(token_for(engine, text)).name  # type: ignore[misc]
        asked[f"find {app}"] = lambda app=app: engine.application(app).name  # type: ignore[misc]
    return asked


def answers(engine: Engine, credentials: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, ask in facts(engine, credentials).items():
        try:
            found[what] = ask()
        except VaultcoreError as refused:
            found[what] = refused
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path, clock = tmp_path_factory.mktemp("tampering") / "data", ManualClock()
    with vaultcore.create(path, clock=clock, housekeeping=False) as engine:
        credentials = fill(engine)
        truth = answers(engine, credentials)
        owners = {engine.state(name).id: name for name in VAULTS}
    return Folder(path, clock, credentials, truth, owners)


@contextlib.contextmanager
def changed(folder: Folder, table: str, row: int, column: str, value: object) -> Iterator[Path]:
    """Gives a copy of the closed folder with one value changed; the change can be taken back."""
    copy = folder.path.with_name("copy")
    shutil.copytree(folder.path, copy)
    new = "CAST(? AS TEXT)" if isinstance(value, NotUtf8) else "?"
    try:
        with contextlib.closing(sqlite3.connect(copy / "vaultcore.db")) as connection:
            connection.execute(
                f'UPDATE {table} SET "{column}" = {new} WHERE rowid = ?',  # noqa: S608
                (value, row),
            )
            connection.commit()
        yield copy
    finally:
        shutil.rmtree(copy)


def rows(folder: Folder, table: str) -> list[tuple[int, dict[str, Any]]]:
    with contextlib.closing(sqlite3.connect(folder.path / "vaultcore.db")) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT rowid AS place, * FROM {table}").fetchall()  # noqa: S608
    return [(row["place"], dict(row)) for row in found]


def concerned(folder: Folder, table: str, row: dict[str, Any]) -> str:
    """Returns whose answers a changed row may change: a vault's, or those about applications."""
    if table == "versions":
        objects = dict(rows(folder, "objects"))
        of = objects.get(row["object_id"], {"vault_id": ""})
        return folder.owners.get(of["vault_id"], "nothing")
    if table == "objects":
        return folder.owners.get(row["vault_id"], "nothing")
    if table == "documents":
        if row["collection"] == "vaults":
            return str(row["key"])
        if row["collection"] == "vault-keys":
            return folder.owners[row["key"].partition("/")[0]]
        if row["collection"] == "applications":
            return next(app for app, text in folder.credentials.items() if row["key"] in text)
    return "nothing"


def check(
    folder: Folder, table: str, place: int, row: dict[str, Any], column: str, value: object
) -> None:
    whole = table == "documents" and concerns_all(row)
    # A row that was moved concerns where it comes from and where it is now.
    moved = [concerned(folder, table, {**row, column: value})] if column in MOVING else []
    whose = set() if whole else {concerned(folder, table, row), *moved}
    try:
        with changed(folder, table, place, column, value) as path:
            try:
                engine = vaultcore.open(path, clock=folder.clock, housekeeping=False)
            except VaultcoreError:
                assert whole, f"{table}.{column} of {row} kept the folder from opening"
                return
            with engine:
                found = answers(engine, folder.credentials)
    except sqlite3.IntegrityError:
        return  # the database itself does not take this value
    for what, answer in found.items():
        expected = folder.truth[what]
        if whose and not whose & set(what.split()):
            assert type(answer) is type(expected), (what, answer)
        if not isinstance(answer, VaultcoreError):
            # A version or an object that was hidden is missing; what is there is true.
            seen = answer if isinstance(answer, list) else [answer]
            assert all(
                one in (expected if isinstance(expected, list) else [expected]) for one in seen
            ), what
        elif not isinstance(expected, VaultcoreError):
            assert isinstance(answer, (StorageError, NotFoundError)), (what, answer)


def flipped(value: Any, bit: int) -> Any:
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    if not raw:
        return b"\x01"
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(raw) if isinstance(value, bytes) else raw.decode(errors="replace")


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_one_changed_value_concerns_what_it_is_about(folder: Folder, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(["objects", "versions", "documents", "documents", "changes"]))
    place, row = data.draw(st.sampled_from(rows(folder, table)))
    column = data.draw(st.sampled_from(TABLES[table]))
    others = [other[column] for _, other in rows(folder, table)]
    value = data.draw(
        st.one_of(
            st.sampled_from(others),
            st.integers(0, 10_000).map(lambda bit: flipped(row[column], bit))
            if isinstance(row[column], (str, bytes))
            else st.integers(-1, 2**62),
            st.sampled_from([None, b"", b"\xff\xfe", "", "{}", 7, 1.5, -1]),
        )
    )
    if value != row[column]:
        check(folder, table, place, row, column, value)


@pytest.mark.parametrize("table", ["objects", "versions", "documents"])
def test_text_that_is_not_utf_8_concerns_its_own_row(folder: Folder, table: str) -> None:
    for place, row in rows(folder, table):
        if table == "documents" and concerns_all(row):
            continue
        for column in TABLES[table]:
            if isinstance(row[column], str):
                check(folder, table, place, row, column, NotUtf8(row[column].encode() + b"\xff"))


def test_a_broken_vault_is_said_once_and_comes_back(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    place, row = next((p, r) for p, r in rows(folder, "documents") if r["collection"] == "vaults")
    with (
        changed(folder, "documents", place, "blob", flipped(row["blob"], 900)) as path,
        vaultcore.open(path, clock=folder.clock, housekeeping=False) as engine,
    ):
        for _ in range(3):
            with pytest.raises(TamperedError, match="changed outside the vault"):
                engine.vault(row["key"])
            folder.clock.advance(RETRY_SECONDS)
        said = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert [r.getMessage()[:20] for r in said] == [f"vault {row['key']} is refused"]
        put(path, place, row["blob"])
        folder.clock.advance(RETRY_SECONDS)
        assert engine.vault(row["key"]).name == row["key"]


def put(path: Path, place: int, blob: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path / "vaultcore.db")) as connection:
        connection.execute("UPDATE documents SET blob = ? WHERE rowid = ?", (blob, place))
        connection.commit()


def test_a_vault_that_breaks_while_it_is_used_is_refused_and_no_other(folder: Folder) -> None:
    place, row = next((p, r) for p, r in rows(folder, "documents") if r["collection"] == "vaults")
    other = next(name for name in VAULTS if name != row["key"])
    with (
        changed(folder, "documents", place, "blob", row["blob"]) as path,
        vaultcore.open(path, clock=folder.clock, housekeeping=False) as engine,
    ):
        held = engine.vault(row["key"]).acting_as(engine.administrator())
        assert held.secrets.get("a").value == f"{row['key']} new"
        put(path, place, b"{}")
        engine.store.write(lambda t: t.changed("", "vaults", row["key"], "", "update"))
        with pytest.raises(TamperedError):
            held.secrets.get("a")
        vault = engine.vault(other).acting_as(engine.administrator())
        assert vault.secrets.get("a").value == f"{other} new"


def test_a_second_protector_opens_a_vault_whose_first_wrap_was_changed(tmp_path: Path) -> None:
    clock = ManualClock()
    with vaultcore.create(tmp_path / "data", clock=clock, housekeeping=False) as engine:
        engine.management.protector_add(name="second", kind="file")
        engine.management.vault_create(name="one")
        vault_id = engine.state("one").id
    with contextlib.closing(sqlite3.connect(tmp_path / "data/vaultcore.db")) as connection:
        cursor = connection.execute(
            "UPDATE documents SET blob = x'00' WHERE key = ?", (f"{vault_id}/file",)
        )
        assert cursor.rowcount == 1
        connection.commit()
    with vaultcore.open(tmp_path / "data", clock=clock, housekeeping=False) as engine:
        assert engine.vault("one").name == "one"
