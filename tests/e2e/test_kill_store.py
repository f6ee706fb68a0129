"""kill -9 in the middle of writes: nothing acknowledged is lost, nothing is half-written.

The checker shares no code with the store: it reads the tables itself, replays the feed, and
compares. Two writers with a mistake on purpose prove that it would notice.
"""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import IO, cast

import pytest

from vaultcore.clock import SystemClock
from vaultcore.storage import open_store

KILLS = 200
CONTROL_KILLS = 30


class Nursery:
    """The process that makes writers, and what they report."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._reports = cast("IO[str]", self._process.stdout)
        self.acknowledged = []
        self.ready = set()
        self.alive = []

    def close(self):
        while self.alive:
            self.kill(self.alive[0])
        self._orders.close()
        self._process.wait(20)
        self._reports.close()

    def fork(self, path, mode):
        self._orders.write(f"fork sqlite:///{path} {mode}\n")
        self.alive.append(self._wait("born"))

    def kill(self, *pids):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            self.alive.remove(pid)
            self._orders.write(f"reap {pid}\n")
            assert self._wait("dead") == pid

    def wait_for_acknowledgements(self, number):
        """Reads reports until there are so many new ones."""
        target = len(self.acknowledged) + number
        while len(self.acknowledged) < target:
            self._read()

    def wait_until_ready(self, pid):
        """Reads reports until a writer has opened its store."""
        while pid not in self.ready:
            self._read()

    def _wait(self, what):
        while True:
            kind, words = self._read()
            if kind == what:
                return int(words[0])

    def _read(self):
        line = self._reports.readline()
        assert line, "the nursery ended"
        kind, *words = line.split()
        if kind == "ack":
            self.acknowledged.append(tuple(words[1:]))
        elif kind == "ready":
            self.ready.add(int(words[0]))
        return kind, words


class Checker:
    """Replays the feed and compares it with the tables and with what was acknowledged."""

    def __init__(self, path):
        self._path = path
        self._revision = 0
        self._versions = defaultdict(list)
        self._count = "0"
        self._told = set()
        self._judged = 0

    def findings(self, acknowledged):
        """Returns what is lost or half-written."""
        with contextlib.closing(
            sqlite3.connect(self._path, timeout=10, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            findings = self._replay(connection)
            return findings + self._compare(connection) + self._lost(acknowledged)

    def _replay(self, connection):
        findings = []
        for revision, kind, name, detail, what in connection.execute(
            "SELECT revision, kind, key, version, what FROM changes WHERE revision > ?"
            " ORDER BY revision",
            (self._revision,),
        ):
            if revision != self._revision + 1:
                findings.append(f"gap: {revision} follows {self._revision}")
            self._revision = revision
            if kind == "seals":
                continue
            self._told.add((name, what, detail))
            if what == "set":
                self._versions[name].append(detail)
            elif what == "purge":
                del self._versions[name]
            else:
                if int(detail) != int(self._count) + 1:
                    findings.append(f"lost update: {detail} follows {self._count}")
                self._count = detail
        return findings

    def _compare(self, connection):
        findings = []
        stored = defaultdict(list)
        for name, version, payload in connection.execute(
            "SELECT o.key, v.version, v.payload FROM objects o, versions v"
            " WHERE v.object_id = o.id ORDER BY v.sequence"
        ):
            stored[name].append(version)
            if payload != version.encode() * 30:
                findings.append(f"half-written: payload of {version}")
        if stored != self._versions:
            findings.append("half-written: the versions are not those of the feed")
        for name, seal, version in connection.execute(
            "SELECT o.key, o.seal, v.version FROM objects o LEFT JOIN versions v"
            " ON v.sequence = o.current"
        ):
            if seal.decode() != version or version != self._versions[name][-1]:
                findings.append(f"half-written: {name} is sealed {seal} and current {version}")
        row = connection.execute("SELECT blob FROM documents WHERE key = 'shared'").fetchone()
        if row and row[0].decode() != self._count:
            findings.append(f"half-written: count is {row[0]}, the feed says {self._count}")
        return findings

    def _lost(self, acknowledged):
        new = acknowledged[self._judged :]
        self._judged = len(acknowledged)
        return [f"lost: {entry}" for entry in new if entry not in self._told]


@pytest.fixture
def nursery():
    started = Nursery()
    yield started
    started.close()


def test_no_acknowledged_write_is_lost(nursery, tmp_path):
    """Two processes write and are killed again and again, alone and together."""
    path = tmp_path / "vaultcore.db"
    dice = random.Random(4)
    checker = Checker(path)
    kills = together = 0
    for _ in range(2):
        nursery.fork(path, "good")
    nursery.wait_for_acknowledgements(1)
    while kills < KILLS:
        time.sleep(dice.random() * 0.03)
        victims = nursery.alive[:] if dice.random() < 0.1 else [dice.choice(nursery.alive)]
        nursery.kill(*victims)
        kills += len(victims)
        together += len(victims) - 1
        assert checker.findings(nursery.acknowledged) == []
        for _ in victims:
            nursery.fork(path, "good")
        if len(victims) == 1:
            # Nobody waits for the dead: the other one goes on.
            nursery.wait_for_acknowledgements(1)
    while nursery.alive:
        nursery.kill(nursery.alive[0])
    assert together > 3
    assert len(nursery.acknowledged) > 5 * KILLS
    assert checker.findings(nursery.acknowledged) == []
    with open_store(f"sqlite:///{path}", clock=SystemClock()) as store:
        assert store.fsck() == []
        assert store.position() == store.revision()
        assert store.write(lambda t: t.changed("v", "", "", "", "after")) == store.revision()


@pytest.mark.parametrize(("mode", "expected"), [("early", "lost"), ("torn", "half-written")])
def test_the_checker_notices_a_writer_that_is_wrong(nursery, tmp_path, mode, expected):
    """The proof of the checker: the same kills find a mistake that was made on purpose."""
    dice = random.Random(7)
    found = 0
    for turn in range(CONTROL_KILLS):
        # What is torn stays torn, so each turn has a store of its own.
        path = tmp_path / f"{turn}.db"
        nursery.fork(path, mode)
        nursery.wait_until_ready(nursery.alive[0])
        time.sleep(dice.random() * 0.03)
        nursery.kill(nursery.alive[0])
        findings = Checker(path).findings(nursery.acknowledged)
        nursery.acknowledged.clear()
        found += any(finding.startswith(expected) for finding in findings)
    assert found >= CONTROL_KILLS // 5
