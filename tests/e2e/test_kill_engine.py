"""kill -9 of whole engines at work: values stay, the folder opens, the audit chain verifies."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

import pytest

import vaultcore
from vaultcore.audit.verifier import verify

KILLS = 200
SECONDS = 240


class Herd:
    """Engines that are killed and replaced, and what they acknowledged."""

    def __init__(self, folder):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_engines.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._reports = cast("IO[str]", self._process.stdout)
        self.acknowledged = {}
        self.alive = []

    def fork(self):
        self._tell("fork", self._folder)
        self.alive.append(int(self._wait("born")))

    def kill(self):
        pid = self.alive.pop(0)
        os.kill(pid, signal.SIGKILL)
        self._tell("reap", pid)
        self._wait("dead")

    def work(self, number):
        """Waits for so many acknowledgements of the one that is killed next."""
        while number:
            number -= self._read()[:2] == ("ack", str(self.alive[0]))

    def close(self):
        while self.alive:
            self.kill()
        self._orders.close()
        self._process.wait(20)
        self._reports.close()

    def _tell(self, *words):
        self._orders.write(" ".join(map(str, words)) + "\n")

    def _wait(self, what):
        while (words := self._read())[0] != what:
            pass
        return words[1]

    def _read(self):
        line = self._reports.readline()
        assert line, "the herd ended: an engine did not open"
        words = tuple(line.split())
        if words[0] == "ack":
            _, _, name, version, value = words
            self.acknowledged[version] = (name, value)
        return words


def check(folder, acknowledged):
    """Opens the folder again and reads every acknowledged version."""
    with vaultcore.open(folder, housekeeping=False) as engine:
        vault = engine.vault("dev").acting_as(engine.administrator())
        for version, (name, value) in acknowledged.items():
            assert vault.secrets.get(name, version).value == value
        report = verify(folder / "audit", public_key=engine.audit.public_key(), expect=None)
        assert report.ok, report
        assert engine.store.fsck() in ([], ())


@pytest.mark.timeout(SECONDS + 60)
def test_no_acknowledged_write_is_lost_and_the_audit_verifies(tmp_path):
    folder = tmp_path / "data"
    with vaultcore.create(folder, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        engine.vault("dev").acting_as(engine.administrator()).keys.create("k", "EC")
    dice = random.Random(20)
    started = time.monotonic()
    herd = Herd(folder)
    try:
        herd.fork()
        herd.fork()
        for turn in range(KILLS):
            herd.work(dice.randrange(1, 6))
            time.sleep(dice.random() * 0.003)
            herd.kill()
            herd.fork()
            if turn % 50 == 49:
                check(folder, herd.acknowledged)
            assert time.monotonic() - started < SECONDS
    finally:
        herd.close()
    check(folder, herd.acknowledged)
    assert len(herd.acknowledged) >= KILLS
    # Each acknowledged write has its record: it was written before the call returned.
    records = [json.loads(line) for line in (folder / "audit/audit.jsonl").read_text().splitlines()]
    sets = [r for r in records if r.get("operationName") == "SecretSet"]
    assert len(sets) >= len(herd.acknowledged)
