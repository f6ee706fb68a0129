"""A small service under the real supervisor, for the tests: ``supervised.py FOLDER WORKERS``.

Files in the folder decide what its workers do: ``broken`` they fail at the start, ``mute`` those
that start now never answer, ``hung-PID`` that one stops answering, ``stubborn`` they do not end
when asked. ``bad`` has the check before a reload fail. Each worker writes its process id to
``started``.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from vaultcore.errors import ConfigurationError
from vaultcore.service import supervisor
from vaultcore.service.pulse import BEAT

folder = Path(sys.argv[1])
workers = int(sys.argv[2])
supervisor.WATCHDOG_SECONDS = 1.5  # type: ignore[misc] # the test need not wait as long
supervisor.START_SECONDS = 1.5  # type: ignore[misc]
supervisor.KILL_SECONDS = 1.0  # type: ignore[misc]


def work(slot: int, channel: socket.socket) -> None:
    if (folder / "broken").exists():
        raise ConfigurationError("the pin file cannot be read")
    if (folder / "stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with (folder / "started").open("a") as started:
        started.write(f"{slot} {os.getpid()}\n")
    mute = (folder / "mute").exists()
    while True:
        time.sleep(0.05)
        if not mute and not (folder / f"hung-{os.getpid()}").exists():
            channel.send(BEAT)


def renew() -> None:
    if (folder / "bad").exists():
        raise ConfigurationError("the certificate is of another key")


supervisor.Supervisor(workers, work, renew).run()
