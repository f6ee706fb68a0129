"""What a process that holds keys or PINs does for itself before it holds any."""

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """Keeps this process out of core dumps and of the debuggers of its own user.

    Files that it makes are for their owner only.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
