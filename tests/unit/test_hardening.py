"""A process that holds keys leaves no core dump."""

import ctypes
import os
import resource
from pathlib import Path

from vaultcore.hardening import harden

PR_GET_DUMPABLE = 3


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
