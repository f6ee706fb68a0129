"""A process that holds keys leaves no core dump, and opens no file to others."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

from vaultcore.hardening import harden
from vaultcore.protectors.pkcs11.messages import Wrap
from vaultcore.protectors.pkcs11.process import WorkerProcess

PR_GET_DUMPABLE = 3
REPORT = """
import ctypes, os, resource, sys
from vaultcore.cli import main
sys.argv = ["vaultcore", "--version"]
try:
    main()
except SystemExit:
    pass
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
print(oct(os.umask(0)))
"""


def test_a_hardened_process_cannot_be_dumped(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            harden()
            (tmp_path / "made").touch()
            dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
            limits = resource.getrlimit(resource.RLIMIT_CORE)
            os.write(writer, f"{dumpable} {limits[0]} {limits[1]}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 64) == b"0 0 0"
    os.close(reader)
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_every_command_is_hardened() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPORT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1:] == ["0 0 0", "0o77"]


def test_the_worker_of_a_token_is_hardened_before_it_hears_anything() -> None:
    worker = WorkerProcess({})
    try:
        # Its first answer: it has no session yet.
        worker.exchange(Wrap(key_id=b"", check_value="", data=b"", associated_data=b""), 1e9)
        status = Path(f"/proc/{worker.pid}/status").read_text()
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
    finally:
        worker.close()
    assert "Umask:\t0077" in status
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
