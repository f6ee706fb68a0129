"""Makes processes that use a vault until they are killed; run by test_kill_engine.

Everything is loaded and nothing open, so that a fork is a fresh engine within milliseconds. Reports
on one pipe, in the order of events: ``born PID``, ``ack PID NAME VERSION``, ``dead PID``.
"""

import os
import sys

import vaultcore
import vaultcore.engine.engine  # loaded before the forks

NAMES = 12


def report(*words):
    # Shorter than PIPE_BUF, so lines of several processes never mix.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def live(folder):
    """Opens the engine and writes, reads and signs without end."""
    engine = vaultcore.open(folder)
    vault = engine.vault("dev").acting_as(engine.administrator())
    pid = os.getpid()
    turn = 0
    while True:
        turn += 1
        name = f"n{turn % NAMES}"
        made = vault.secrets.set(name, f"{pid}-{turn}")
        report("ack", pid, name, made.version, f"{pid}-{turn}")
        vault.secrets.get(name)
        if turn % 7 == 0:
            vault.keys.sign("k", "ES256", b"\0" * 32)


def main():
    """Obeys: ``fork FOLDER`` makes a user of the vault, ``reap PID`` waits for a killed one."""
    for line in sys.stdin:
        match line.split():
            case ["fork", folder]:
                pid = os.fork()
                if pid == 0:
                    try:
                        live(folder)
                    finally:
                        os._exit(1)
                report("born", pid)
            case ["reap", pid]:
                report("dead", os.waitpid(int(pid), 0)[0])


if __name__ == "__main__":
    main()
