"""Hardens a process before it holds keys or PINs."""

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """Keeps this process out of core dumps and of the debuggers of its own user.

    Files that it creates are for their owner only. It may be called again.

    Raises:
        OSError: the system refuses.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):  # Linux
        number = ctypes.get_errno()
        raise OSError(number, f"this process can be dumped: {os.strerror(number)}")
