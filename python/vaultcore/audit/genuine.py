"""Checks whether a line of the log is a record that this installation wrote.

An attacker with write access may have changed the files. Before anything is done because of a
record, and not only displayed, its hash must fit and its MAC must be from a key of the log.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final

from vaultcore._core import RECORD_LABEL

#: The end of a record; what comes before its hash is covered by it.
_END: Final = re.compile(
    rb',"sequence":([1-9][0-9]{0,18}),"previous":"[0-9a-f]{64}"'
    rb'(,"hash":"[0-9a-f]{64}"(?:,"mac":"([0-9a-f]{32})")?\})$'
)


def is_genuine(line: bytes, made: Callable[[int, str, str | None], bool]) -> bool:
    """Returns whether a line is a record that this installation wrote.

    Args:
        line: the line, without its newline.
        made: returns whether a number, a hash and a MAC belong together; :meth:`Audit.made`.
    """
    end = _END.search(line)
    if end is None:
        return False
    digest = hashlib.sha256(RECORD_LABEL + line[: end.start(2)]).hexdigest()
    mac = end[3]
    return made(int(end[1]), digest, None if mac is None else mac.decode())
