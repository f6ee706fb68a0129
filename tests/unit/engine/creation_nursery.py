"""Makes vaults in processes that stop before they begin; run by test_creation.

It reads lines ``DATA KEY-FILE``, and answers each with the number of a process that makes a vault
in DATA as soon as it is continued. The line ``reap`` waits for it, and answers how it ended.
"""

import os
import signal
import sys
import threading

import vaultcore
import vaultcore.management  # loaded before the forks
from vaultcore import Engine
from vaultcore.errors import VaultcoreError
from vaultcore.library.opening import create_engine
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.storage import migrate
from vaultcore.storage.sqlite import migrate as _loaded  # noqa: F401 - before the forks

REFUSED = 3


def first(engine: Engine) -> None:
    """Does what `vaultcore init` does."""
    engine.management.app_create(name="administrator")
    engine.management.access_administrator(principal="administrator")


def make(data: str, key_file: str) -> int:
    """Makes a vault with two protectors, and returns the exit status."""
    options = [
        ProtectorOptions("inside", "file"),
        ProtectorOptions("outside", "file", {"path": key_file}),
    ]
    try:
        create_engine(data, protectors=options, housekeeping=False, first=first).close()
    except VaultcoreError as refused:
        sys.stderr.write(f"{refused}\n")
        return REFUSED
    return 0


def main() -> None:
    """Obeys."""
    migrate.scripts().get_heads()  # loaded before the forks
    child = 0
    for line in sys.stdin:
        if line == "reap\n":
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        data, key_file = line.split()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                threading.excepthook = lambda _: None
                os.kill(os.getpid(), signal.SIGSTOP)
                status = make(data, key_file)
            finally:
                os._exit(status)
        os.waitpid(child, os.WUNTRACED)
        print(child, flush=True)


if __name__ == "__main__":
    assert vaultcore.__version__
    main()
