"""A process that appends to a log whatever happens, and says what was acknowledged.

Run by the tests, also under strace: python appender.py FOLDER COUNT SEGMENT_SIZE
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from unit.audit.entries import FIELDS
from vaultcore._core import AuditLog
from vaultcore.errors import AuditError


def main() -> None:
    folder, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    acknowledged, refused = [], 0
    log = None
    for number in range(count):
        try:
            if log is None:
                log = AuditLog(folder, segment_size=size)
            changes = {**FIELDS, "object_id": f"{sys.argv[4]}-{number}"}
            acknowledged.append((log.append(time=1_700_000_000.5, **changes), number))
            if number % 5 == 0:
                log.sync()
        except AuditError:
            refused += 1
    print(json.dumps({"acknowledged": acknowledged, "refused": refused}))


main()
