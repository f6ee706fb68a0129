"""A vault is made whole or not at all, and can be made again, whatever happens in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.engine.creation import UNFINISHED
from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.pkcs11 import softhsm

CHANGING = "openat,mkdir,link,unlink,rename,chmod,fchmod,fsync,write,ftruncate"
OF_THE_DATABASE = ("pwrite64", "fdatasync")
#: Every so many points in the suite; VAULTCORE_EVERY_POINT=1 tries them all, for minutes.
STRIDE = 1 if os.environ.get("VAULTCORE_EVERY_POINT") else 9
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Nursery:
    """A process that makes vaults, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("creation_nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def make(self, place: Path, fault: str = "") -> int:
        """Makes a vault under a fault of strace; returns the status, negative for a signal."""
        self._orders.write(f"{place / 'data'} {place / 'safe' / 'outside.key'}\n")
        child = int(self._answers.readline())
        tracer = None
        if fault:
            tracer = subprocess.Popen(
                [
                    *("strace", "-f", "-qq", "-o", os.devnull),
                    *("-p", str(child), "-e", f"inject={fault}"),
                ],
                stderr=subprocess.DEVNULL,
            )
            wait_until(lambda: is_traced(child))
        os.kill(child, signal.SIGCONT)
        self._orders.write("reap\n")
        status = int(self._answers.readline())
        if tracer is not None:
            tracer.wait(30)
        return status

    def close(self) -> None:
        self._orders.close()
        self._process.wait(30)
        self._answers.close()
        cast("IO[str]", self._process.stderr).close()


def is_traced(process: int) -> bool:
    text = Path(f"/proc/{process}/status").read_text()
    return "TracerPid:\t0\n" not in text


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    yield started
    started.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "safe").mkdir()
    return tmp_path


def is_whole(place: Path) -> bool:
    """Returns whether there is a vault; what is there otherwise says that it is none."""
    try:
        engine = vaultcore.open(place / "data", housekeeping=False)
    except ConfigurationError as refused:
        if "not finished" in str(refused) or "there is no vault" in str(refused):
            return False
        raise
    with engine:
        check(engine)
    return True


def check(engine: Engine) -> None:
    administrators = [engine.application("administrator").object_id]
    assert list(engine.installation.administrators) == administrators
    assert {line["name"]: line["status"] for line in engine.key_ring.verify()} == {
        "inside": "ok",
        "outside": "ok",
    }
    engine.management.vault_create(name="dev")
    vault = engine.vault("dev").acting_as(engine.administrator())
    vault.secrets.set("a", "value")
    assert vault.secrets.get("a").value == "value"
    assert engine.management.audit_verify()["ok"]
    engine.management.access_set(vault="dev", principal=administrators[0])


def survives(nursery: Nursery, place: Path, fault: str) -> bool:
    """Returns whether the fault was met; in any case a vault can be made after it."""
    shutil.rmtree(place / "data", ignore_errors=True)
    for path in (place / "safe").iterdir():
        path.unlink()
    status = nursery.make(place, fault)
    whole = is_whole(place)
    if not whole:
        assert status != 0, fault
        assert nursery.make(place) == 0, fault
        assert is_whole(place), fault
    else:
        # Killed or failed after its last step: the first attempt did it.
        assert status == 0 or fault.partition(":")[2].startswith(("signal", "error")), fault
    assert [path.name for path in (place / "safe").iterdir()] == ["outside.key"], fault
    hidden = [path.name for path in (place / "data").iterdir() if path.name.startswith(".")]
    assert hidden == [], fault
    return status != 0


def points(nursery: Nursery, place: Path, calls: str, effect: str, offset: int) -> int:
    """Tries a fault at every so many of the calls, until there are no more; returns how many."""
    tried = 0
    while survives(nursery, place, f"{calls}:{effect}:when={1 + offset + tried * STRIDE}"):
        tried += 1
    return tried


@pytest.mark.parametrize("offset", range(0, STRIDE, 5) if STRIDE > 1 else [0])
def test_killed_at_any_call(nursery: Nursery, place: Path, offset: int) -> None:
    assert points(nursery, place, CHANGING, "signal=KILL", offset) > 40 // STRIDE


@pytest.mark.parametrize("call", OF_THE_DATABASE)
def test_killed_while_the_database_writes(nursery: Nursery, place: Path, call: str) -> None:
    assert points(nursery, place, call, "signal=KILL", 1) > 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("openat", "EACCES"),
        ("openat", "ENOSPC"),
        ("mkdir", "ENOSPC"),
        ("write", "ENOSPC"),
        ("write", "EIO"),
        ("fsync", "EIO"),
        ("link", "EACCES"),
        ("rename", "EIO"),
        ("unlink", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "EIO"),
    ],
)
def test_any_call_that_fails(nursery: Nursery, place: Path, call: str, error: str) -> None:
    offset = 0 if call in {"mkdir", "rename"} else 4
    points(nursery, place, call, f"error={error}", offset if STRIDE > 1 else 0)


class StopError(Exception):
    """Ends the making of a vault before its last step."""


def stopped(_: Engine) -> None:
    raise StopError


def outside(path: Path) -> list[ProtectorOptions]:
    return [ProtectorOptions("file", "file", {"path": str(path)})]


def test_what_fails_last_leaves_nothing(place: Path) -> None:
    key = place / "safe" / "a.key"
    with pytest.raises(StopError):
        vaultcore.create(place / "data", protectors=outside(key), first=stopped)
    assert not (place / "data").exists()
    assert list((place / "safe").iterdir()) == []
    vaultcore.create(place / "data", protectors=outside(key), housekeeping=False).close()
    assert key.exists()


def test_a_key_file_that_was_there_before_stays_and_is_named(place: Path) -> None:
    key = place / "safe" / "a.key"
    vaultcore.create(place / "one", protectors=outside(key), housekeeping=False).close()
    content = key.read_bytes()
    with pytest.raises(ProtectorError, match="exists already"):
        vaultcore.create(place / "data", protectors=outside(key))
    assert key.read_bytes() == content
    assert not (place / "data").exists()


def test_a_key_file_that_came_since_is_not_taken_for_what_was_left(place: Path) -> None:
    """The attempt was killed; by now another vault has a key file in that place."""
    key = place / "safe" / "a.key"
    unfinished(place / "data", outside(key))
    key.unlink()
    vaultcore.create(place / "one", protectors=outside(key), housekeeping=False).close()
    content = key.read_bytes()
    with pytest.raises(ProtectorError, match="exists already"):
        vaultcore.create(place / "data", protectors=outside(key))
    assert key.read_bytes() == content


def unfinished(data: Path, protectors: list[ProtectorOptions]) -> None:
    """Leaves a folder as a process that was killed before the last step does."""
    child = os.fork()
    if child == 0:
        try:
            vaultcore.create(
                data,
                protectors=protectors,
                housekeeping=False,
                first=lambda _: os.kill(os.getpid(), signal.SIGKILL),
            )
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_nothing_opens_a_folder_that_is_not_finished(place: Path) -> None:
    unfinished(place / "data", [])
    with pytest.raises(ConfigurationError, match=r"not finished.*same command again"):
        vaultcore.open(place / "data")


def test_an_empty_folder_that_cannot_be_renamed_is_used_as_it_is(place: Path) -> None:
    """As the root of a file system, which has a folder of its own in it."""
    (place / "data").mkdir(mode=0o755)
    (place / "data/lost+found").mkdir()
    identity = (place / "data").stat().st_ino
    unfinished(place / "data", [])
    vaultcore.create(place / "data", housekeeping=False).close()
    assert (place / "data").stat().st_ino == identity
    assert (place / "data").stat().st_mode & 0o077 == 0


def test_other_files_stay_whatever_happens(place: Path) -> None:
    (place / "data").mkdir(mode=0o700)
    (place / "data/pin").write_text("1234")
    (place / "data/keys").mkdir()
    (place / "data/keys/other.json").write_text("{}")
    with pytest.raises(StopError):
        vaultcore.create(place / "data", first=stopped)
    unfinished(place / "data", [])
    vaultcore.create(place / "data", housekeeping=False).close()
    assert (place / "data/pin").read_text() == "1234"
    assert (place / "data/keys/other.json").read_text() == "{}"


def test_an_open_folder_with_other_files_is_refused_and_left_alone(place: Path) -> None:
    (place / "data").mkdir(mode=0o755)
    (place / "data/mine").touch()
    with pytest.raises(ConfigurationError, match="open to other users"):
        vaultcore.create(place / "data")
    assert (place / "data").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (place / "data").iterdir()] == ["mine"]


def test_what_is_left_of_a_lost_vault_is_not_built_upon(place: Path) -> None:
    vaultcore.create(place / "data", housekeeping=False).close()
    (place / "data/vaultcore.db").unlink()
    with pytest.raises(ConfigurationError, match="of another vault"):
        vaultcore.create(place / "data")
    assert (place / "data/audit").exists()
    assert (place / "data/keys/file.json").exists()


def test_two_at_once_make_one_vault(place: Path) -> None:
    results: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def slow(_: Engine) -> None:
        entered.set()
        assert go_on.wait(30)

    def make() -> None:
        vaultcore.create(place / "data", housekeeping=False, first=slow).close()
        results.append("made")

    thread = threading.Thread(target=make)
    thread.start()
    assert entered.wait(30)
    with pytest.raises(ConfigurationError, match="another process is creating"):
        vaultcore.create(place / "data")
    with pytest.raises(ConfigurationError, match="not finished"):
        vaultcore.open(place / "data")
    go_on.set()
    thread.join()
    assert results == ["made"]
    vaultcore.open(place / "data", housekeeping=False).close()


def test_a_vault_that_was_used_is_not_removed_whatever_its_mark_says(place: Path) -> None:
    """A file system that was put back in time could show the mark again."""
    with vaultcore.create(place / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        engine.vault("dev").acting_as(engine.administrator()).secrets.set("a", "value")
    (place / "data" / UNFINISHED).write_text('{"made": true}\n\n{"plan": [], "absent": []}\n')
    with pytest.raises(ConfigurationError, match="it was used"):
        vaultcore.create(place / "data")
    (place / "data" / UNFINISHED).unlink()
    with vaultcore.open(place / "data", housekeeping=False) as engine:
        assert engine.vault("dev").name == "dev"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The options of a token that is not in the data folder."""
    if softhsm.find_module() is None:
        pytest.skip("SoftHSM is not installed: install the package softhsm2")
    made = softhsm.make(tmp_path / "token")
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return {
        "module": str(made.module),
        "token_label": made.label,
        "pin_file": str(made.pin_file),
        "key_label": "wrapping",
    }


@pytest.mark.parametrize("end", ["killed", "failed"])
def test_a_key_in_a_token_is_taken_up_again(place: Path, token: dict[str, str], end: str) -> None:
    options = [ProtectorOptions("hsm", "pkcs11", token)]
    for _ in range(2):
        if end == "killed":
            unfinished(place / "data", options)
        else:
            with pytest.raises(StopError):
                vaultcore.create(place / "data", protectors=options, first=stopped)
    vaultcore.create(place / "data", protectors=options, housekeeping=False).close()
    with vaultcore.open(place / "data", housekeeping=False) as engine:
        assert [line["status"] for line in engine.key_ring.verify()] == ["ok"]
    # One private object: the key that wraps.
    assert len(list((place / "token").rglob("*.object"))) == 2


def test_another_choice_names_the_key_that_may_be_left(
    place: Path, token: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    unfinished(place / "data", [ProtectorOptions("hsm", "pkcs11", token)])
    other = ProtectorOptions("hsm", "pkcs11", {**token, "key_label": "another"})
    vaultcore.create(place / "data", protectors=[other], housekeeping=False).close()
    assert [r for r in caplog.records if "may have left the key `wrapping`" in r.getMessage()]


def test_a_token_in_the_folder_is_made_again(place: Path) -> None:
    if softhsm.find_module() is None:
        pytest.skip("SoftHSM is not installed: install the package softhsm2")
    options = [ProtectorOptions("hsm", "softhsm")]
    unfinished(place / "data", options)
    with vaultcore.create(place / "data", protectors=options, housekeeping=False) as engine:
        assert [line["status"] for line in engine.key_ring.verify()] == ["ok"]


def test_init_can_be_run_again_and_shows_a_secret_that_works(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output cannot be written: the secret that was made is lost, and so is the vault."""
    script = "from vaultcore.cli import main; main()"
    command = [sys.executable, "-c", script, "init", "--data", str(place / "data"), "--json"]
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert failed.returncode != 0
    with pytest.raises(ConfigurationError):
        vaultcore.open(place / "data")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    made = json.loads(done.stdout)["administrator"]
    with vaultcore.open(place / "data", housekeeping=False) as engine:
        shown = (made["client_id"], made["client_secret"])
        assert engine.issuer.applications.authenticate(*shown) is not None
