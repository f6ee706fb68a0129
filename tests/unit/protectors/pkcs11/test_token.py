import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vaultcore.errors import (
    ConfigurationError,
    ForkError,
    ProtectorError,
    ProtectorUnavailableError,
    UsageError,
    VaultcoreError,
)
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token

SECRET = bytes(range(32))
Open = Callable[..., Token]


def eventually(work: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Returns what `work` returns once the token is not away anymore."""
    expires = time.monotonic() + seconds
    while True:
        try:
            return work()
        except ProtectorError:
            if time.monotonic() > expires:
                raise
            time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 10.0) -> bool:
    expires = time.monotonic() + seconds
    while running(pid) and time.monotonic() < expires:
        time.sleep(0.01)
    return not running(pid)


def test_nothing_starts_before_the_first_call(soft_token: SoftToken, opened: Open) -> None:
    token = opened(soft_token)
    assert token.workers == []
    token.open()
    assert len(token.workers) == 1
    (pid,) = token.workers
    token.open()
    assert token.workers == [pid]
    token.close()
    assert gone(pid)


def test_the_service_never_loads_the_module(protector: Pkcs11Protector) -> None:
    protector.wrap(SECRET)
    assert "libsofthsm" not in Path("/proc/self/maps").read_text()


def test_the_pin_is_in_no_command_line_environment_or_text(
    soft_token: SoftToken, token: Token, protector: Pkcs11Protector
) -> None:
    pin = soft_token.pin_file.read_text()
    protector.wrap(SECRET)
    (pid,) = token.workers
    for process in (pid, os.getpid()):
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{process}/{name}").read_bytes()
            assert pin.encode() not in content
    assert "SOFTHSM2_CONF" not in os.environ
    assert b"SOFTHSM2_CONF=" in Path(f"/proc/{pid}/environ").read_bytes()
    texts = [repr(token), repr(vars(token)), repr(protector), repr(soft_token)]
    assert not any(pin in text for text in texts)


def test_the_environment_of_the_service_stays_with_it(
    soft_token: SoftToken, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-in-the-environment")
    token = opened(soft_token)
    token.open()
    environment = Path(f"/proc/{token.workers[0]}/environ").read_bytes()
    assert b"canary-in-the-environment" not in environment


def test_the_worker_leaves_no_core_dump(token: Token, protector: Pkcs11Protector) -> None:
    protector.wrap(SECRET)
    limits = Path(f"/proc/{token.workers[0]}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


def test_a_killed_worker_is_replaced_within_the_call(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    token = opened(soft_token)
    own = Pkcs11Protector(token, key_label="shared")
    wrapped = own.wrap(SECRET)
    before = token.workers
    os.kill(before[0], signal.SIGKILL)
    assert own.unwrap(wrapped) == SECRET
    assert token.workers != before


def test_workers_killed_all_the_time_never_give_a_wrong_answer(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    token = opened(soft_token)
    own = Pkcs11Protector(token, key_label="shared")
    wrapped = own.wrap(SECRET)
    stop = threading.Event()
    right, refused = [0], [0]

    def work() -> None:
        while not stop.is_set():
            try:
                assert own.unwrap(wrapped) == SECRET
                right[0] += 1
            except ProtectorUnavailableError:
                refused[0] += 1

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(work) for _ in range(4)]
        for _ in range(8):
            time.sleep(0.2)
            for pid in token.workers:
                os.kill(pid, signal.SIGKILL)
        stop.set()
        for task in tasks:
            task.result()
    assert right[0] > 0
    assert eventually(lambda: own.unwrap(wrapped)) == SECRET


def test_a_worker_that_hangs_is_ended_at_the_deadline(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    token = opened(soft_token, deadline=1.0)
    own = Pkcs11Protector(token, key_label="shared")
    wrapped = own.wrap(SECRET)
    (pid,) = token.workers
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(ProtectorUnavailableError, match="did not answer within 1 s"):
        own.unwrap(wrapped)
    assert time.monotonic() - started < 5
    assert gone(pid)
    assert eventually(lambda: own.unwrap(wrapped)) == SECRET


def test_waiting_for_a_hanging_worker_counts_towards_the_deadline(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    token = opened(soft_token, deadline=0.5)
    own = Pkcs11Protector(token, key_label="shared")
    wrapped = own.wrap(SECRET)
    os.kill(token.workers[0], signal.SIGSTOP)

    def timed(_: int) -> float:
        started = time.monotonic()
        with contextlib.suppress(ProtectorUnavailableError):
            own.unwrap(wrapped)
        return time.monotonic() - started

    # One after the other they would need twice as long as the bound.
    with ThreadPoolExecutor(32) as pool:
        assert max(pool.map(timed, range(32))) < 8


def test_an_interrupted_call_does_not_leave_its_reply_to_the_next(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    token = opened(soft_token)
    own = Pkcs11Protector(token, key_label="shared")
    first, second = own.wrap(SECRET), own.wrap(bytes(32))
    (pid,) = token.workers
    os.kill(pid, signal.SIGSTOP)
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupt):
            own.unwrap(first)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert own.unwrap(second) == bytes(32)
    assert token.workers != [pid]


def test_a_token_that_went_away_comes_back(own_token: SoftToken, opened: Open) -> None:
    own = Pkcs11Protector.create(opened(own_token))
    wrapped = own.wrap(SECRET)
    tokens = own_token.pin_file.parent / "tokens"
    tokens.rename(tokens.with_name("away"))
    tokens.mkdir()
    for _ in range(3):
        with pytest.raises(ProtectorUnavailableError, match="the token `vaultcore` is unavailable"):
            own.unwrap(wrapped)
    tokens.rmdir()
    tokens.with_name("away").rename(tokens)
    assert eventually(lambda: own.unwrap(wrapped)) == SECRET


def test_a_token_folder_that_vanished_is_reported(own_token: SoftToken, opened: Open) -> None:
    own = Pkcs11Protector.create(opened(own_token))
    wrapped = own.wrap(SECRET)
    tokens = own_token.pin_file.parent / "tokens"
    tokens.rename(tokens.with_name("away"))
    with pytest.raises(ProtectorUnavailableError):
        own.unwrap(wrapped)
    tokens.with_name("away").rename(tokens)
    assert eventually(lambda: own.unwrap(wrapped)) == SECRET


def test_while_the_token_is_away_calls_fail_fast(own_token: SoftToken, opened: Open) -> None:
    token = opened(own_token, pause=30.0)
    own = Pkcs11Protector.create(token)
    tokens = own_token.pin_file.parent / "tokens"
    tokens.rename(tokens.with_name("away"))
    with pytest.raises(ProtectorUnavailableError):
        own.wrap(SECRET)
    started = time.monotonic()
    for _ in range(200):
        with pytest.raises(ProtectorUnavailableError):
            own.wrap(SECRET)
    assert time.monotonic() - started < 5
    assert token.workers == []


def exchange(own_token: SoftToken, other: SoftToken) -> None:
    """Puts another token, with the same label and even the same PIN, into the place of one."""
    tokens = own_token.pin_file.parent / "tokens"
    tokens.rename(tokens.with_name("away"))
    (other.pin_file.parent / "tokens").rename(tokens)


def test_another_token_with_the_same_label_is_refused(
    module: Path, tmp_path: Path, own_token: SoftToken, opened: Open
) -> None:
    own = Pkcs11Protector.create(opened(own_token))
    wrapped = own.wrap(SECRET)
    other = softhsm.make(tmp_path / "other", module=module)
    exchange(own_token, other)
    for _ in range(3):
        with pytest.raises(ProtectorError) as caught:
            own.unwrap(wrapped)
        text = str(caught.value)
        assert f"expected serial number {own_token.serial}, found {other.serial}" in text
        assert "was not shown the PIN" in text
    tokens = own_token.pin_file.parent / "tokens"
    tokens.rename(tokens.with_name("strange"))
    tokens.with_name("away").rename(tokens)
    assert eventually(lambda: own.unwrap(wrapped)) == SECRET


def test_a_serial_number_that_was_found_once_is_held_to(
    module: Path, tmp_path: Path, own_token: SoftToken, opened: Open
) -> None:
    token = opened(own_token, serial=None)
    own = Pkcs11Protector.create(token)
    assert token.serial == own_token.serial
    exchange(own_token, softhsm.make(tmp_path / "other", module=module))
    with pytest.raises(ProtectorError, match=f"expected serial number {own_token.serial}"):
        own.wrap(SECRET)


def test_one_pin_is_given() -> None:
    with pytest.raises(ConfigurationError, match="either the PIN"):
        Token(module="m", label="t")
    with pytest.raises(ConfigurationError, match="either the PIN"):
        Token(module="m", label="t", pin="1", pin_file="f")


@pytest.mark.parametrize("bad", [{"processes": 0}, {"processes": 1000}, {"deadline": 0}])
def test_impossible_numbers_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Token(module="m", label="t", pin="1", **bad)


def test_a_closed_token_is_refused(soft_token: SoftToken, opened: Open) -> None:
    token = opened(soft_token)
    token.open()
    token.close()
    token.close()
    with pytest.raises(UsageError, match="is closed"):
        token.open()


def in_child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def test_a_forked_child_is_refused_and_harms_nothing(
    soft_token: SoftToken, protector: Pkcs11Protector, opened: Open
) -> None:
    token = opened(soft_token)
    own = Pkcs11Protector(token, key_label="shared")
    wrapped = own.wrap(SECRET)
    before = token.workers

    def child() -> None:
        with pytest.raises(ForkError, match="open it again there"):
            own.unwrap(wrapped)
        token.close()

    _, status = os.waitpid(in_child(child), 0)
    assert status == 0
    assert own.unwrap(wrapped) == SECRET
    assert token.workers == before


def test_a_forked_child_does_not_keep_the_worker_alive(soft_token: SoftToken, opened: Open) -> None:
    token = opened(soft_token)
    token.open()
    (worker,) = token.workers
    own, theirs = os.pipe()

    def child() -> None:
        os.close(theirs)
        os.read(own, 1)

    pid = in_child(child)
    # What the end of the service does: its end of the socket goes, without a farewell.
    token._all_lanes[0]._worker._channel.close()  # type: ignore[union-attr]
    worker_ended = gone(worker)
    os.close(theirs)
    os.close(own)
    os.waitpid(pid, 0)
    assert worker_ended


def test_a_service_that_is_killed_takes_its_worker_with_it(
    soft_token: SoftToken, opened: Open
) -> None:
    own, theirs = os.pipe()

    def child() -> None:
        token = opened(soft_token)
        token.open()
        os.write(theirs, str(token.workers[0]).encode())
        signal.pause()

    pid = in_child(child)
    worker = int(os.read(own, 20))
    assert running(worker)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone(worker)
    os.close(own)
    os.close(theirs)


def test_every_refusal_is_one_of_ours(own_token: SoftToken, opened: Open) -> None:
    with pytest.raises(VaultcoreError):
        opened(own_token, label="x" * 300).open()
