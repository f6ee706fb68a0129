"""Calculates how many connections the descriptors of a worker allow."""

import os
import resource
from pathlib import Path
from typing import Final, NamedTuple

#: How many connections may wait to be accepted, for each worker; the kernel's limit may be lower.
BACKLOG: Final = 1024
#: What a worker opens besides connections: database, log, token, temporary files.
OWN: Final = 64
_MARGIN: Final = 32
_FEW: Final = 16
_MANY: Final = 1 << 20
_OPEN: Final = Path("/proc/self/fd")


class Descriptors(NamedTuple):
    """What a worker may open.

    Attributes:
        soft: the limit in normal operation.
        hard: the limit that it may raise the soft one to when it is out of descriptors.
        backlog: how many connections may wait to be accepted; between the two limits is room for
            all of them, twice.
        connections: how many connections it keeps at most.
    """

    soft: int
    hard: int
    backlog: int
    connections: int


def plan(hard: int, opened: int, wanted: int) -> Descriptors:
    """Divides the descriptors of a worker.

    Above the limit on connections there is a quarter in which new ones are accepted while others
    are being closed, and above the soft limit there is room for everything that waits.

    Args:
        hard: the hard limit on descriptors.
        opened: how many are open before the first connection.
        wanted: how many connections the configuration allows.
    """
    waiting = backlog(hard)
    # Connections accepted in a rescue keep their descriptors until the rescue after the next.
    soft = hard - 2 * (waiting + _MARGIN)
    allowed = (soft - opened - OWN) * 3 // 4
    return Descriptors(soft, hard, waiting, max(_FEW, min(wanted, allowed)))


def claim(wanted: int) -> Descriptors:
    """Raises the limit on descriptors as far as possible, and divides them.

    Args:
        wanted: how many connections the configuration allows.
    """
    hard = most()
    found = plan(hard, opened(), wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (found.soft, hard))
    return found


def most() -> int:
    """Returns how many descriptors a process may have open, at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if hard == resource.RLIM_INFINITY else hard


def backlog(hard: int) -> int:
    """Returns how many connections may wait to be accepted.

    Args:
        hard: the hard limit on descriptors.
    """
    return max(_FEW, min(BACKLOG, hard // 16))


def opened() -> int:
    """Returns how many descriptors this process has open."""
    # Since 6.2, Linux reports the number as the size of the folder; before, the size is 0.
    return _OPEN.stat().st_size or len(listed()) - 1


def listed() -> list[int]:
    """Returns the descriptors that this process has open."""
    return [int(name) for name in os.listdir(_OPEN)]  # noqa: PTH208 - thousands, often
