"""`vaultcore serve` goes on: through deaths of its workers, bad reloads and a second service."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from driver import program

from vaultcore.clock import SystemClock
from vaultcore.service.development.authority import TlsFiles, ensure_certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 2


class Served:
    """A service of production on a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = port
        self.why = ""
        self.key = folder / "vault.key"
        self.tls: TlsFiles = ensure_certificates(folder / "tls", ["127.0.0.1"], clock=SystemClock())
        self.configuration = folder / "vaultcore.toml"
        self.configuration.write_text(f"""
data = "{folder}/data"
[server]
domain = "vault.localhost:{port}"
port = {port}
workers = {WORKERS}
certificate = "{self.tls.certificate}"
key = "{self.tls.key}"
[[protectors]]
name = "file"
kind = "file"
path = "{self.key}"
""")
        self.context = ssl.create_default_context(cafile=str(self.tls.authority))
        made = self.run("init")
        assert made.returncode == 0, made.stderr

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = program(command, "--config", str(self.configuration))
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> None:
        with (self.folder / "log").open("wb") as sink:
            self.process = subprocess.Popen(
                program("serve", "--config", str(self.configuration)), stdout=sink, stderr=sink
            )
        wait_for(self.answers)

    def answers(self) -> bool:
        try:
            with httpx.Client(verify=self.context, timeout=5) as client:
                answer = client.get(f"https://127.0.0.1:{self.port}/healthz")
                self.why = answer.text
                return answer.status_code == 200
        except httpx.TransportError as error:
            self.why = repr(error)
            return False

    def settle(self) -> list[int]:
        """Waits until all workers answer, and returns them."""

        def answering() -> list[int]:
            return [pid for pid in self.workers() if f"(process {pid})" in self.log()]

        wait_for(lambda: len(answering()) == WORKERS)
        return answering()

    def workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Served(tmp_path_factory.mktemp("serve") / "one", port)
    found.start()
    yield found
    workers = found.workers()
    found.process.terminate()
    assert found.process.wait(20) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "Traceback" not in found.log(), found.log()


def test_the_service_survives_the_deaths_of_its_workers(served: Served) -> None:
    for _ in range(2):
        before = served.settle()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda before=before: not set(before) & set(served.workers()))  # type: ignore[misc]
        wait_for(served.answers)
    assert served.process.poll() is None


def test_a_reload_with_a_bad_certificate_changes_nothing(served: Served) -> None:
    before, good = served.settle(), served.tls.certificate.read_bytes()
    served.tls.certificate.write_text("no certificate")
    try:
        served.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: "nothing was reloaded, the workers continue: the certificate" in served.log()
        )
        assert served.answers(), served.why
        assert served.workers() == before
    finally:
        served.tls.certificate.write_bytes(good)


def test_one_worker_answers_for_another_that_cannot_start(served: Served) -> None:
    before, good = served.settle(), served.tls.certificate.read_bytes()
    served.tls.certificate.write_text("no certificate")
    try:
        said = served.log().count("status 1, the next one starts")
        os.kill(before[0], signal.SIGKILL)
        # The one that takes its place cannot start, and its share must not wait for it.
        wait_for(lambda: served.log().count("status 1, the next one starts") > said + 1)
        assert all(served.answers() for _ in range(16))
        assert before[1] in served.workers()
    finally:
        served.tls.certificate.write_bytes(good)
    served.settle()
    assert all(served.answers() for _ in range(16)), served.why


def test_a_reload_while_the_key_cannot_be_read_leaves_the_workers(served: Served) -> None:
    before, elsewhere = served.settle(), served.key.with_suffix(".away")
    served.key.rename(elsewhere)
    try:
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the old workers continue" in served.log())
        assert served.answers(), served.why
        wait_for(lambda: served.workers() == before)
    finally:
        elsewhere.rename(served.key)
    served.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(served.workers()) == WORKERS and not set(before) & set(served.workers()))
    assert served.answers(), (served.why, served.log())


def test_a_second_service_on_the_port_is_refused(served: Served, tmp_path: Path) -> None:
    for other in (served, Served(tmp_path / "other", served.port)):
        refused = other.run("serve")
        assert (refused.returncode, "another vaultcore" in refused.stderr) == (1, True)
    assert served.answers(), (served.why, served.log())


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)
