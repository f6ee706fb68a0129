"""How far the log had come, according to the store; reveals a log that was restored alone."""

from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.errors import TamperedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore.storage import Store, Transaction

#: The document with the state.
STATE: Final = ("audit", "state")
#: The size of a MAC in bytes; it comes before what it authenticates.
TAG: Final = 16
#: The hash that the first record and the first checkpoint name as that of the one before.
NOTHING: Final = "0" * 64
_LABEL: Final = b"audit/state\n"


class State(msgspec.Struct, frozen=True):
    """How far the log had come, according to the store.

    Attributes:
        sequence: the number of a record that was signed.
        head: its hash.
        revision: the highest revision of the store that a record had named.
    """

    sequence: int
    head: str
    revision: int = 0


def keep_state(transaction: "Transaction", tag: "Callable[[bytes], bytes]", state: State) -> None:
    """Stores how far the log has come, with a MAC."""
    body = msgspec.json.encode(state)
    transaction.put_document(*STATE, tag(_LABEL + body) + body)


def load_state(store: "Store | Transaction", tagged: "Callable[[bytes, bytes], bool]") -> State:
    """Returns how far the log had come, according to a store.

    Raises:
        TamperedError: the state was changed.
        StorageError: the store cannot be read.
    """
    blob = store.document(*STATE) or b""
    if not tagged(_LABEL + blob[TAG:], blob[:TAG]):
        raise TamperedError(
            "the state of the audit log in the store does not verify: it was changed outside the "
            "vault; restore the database from a backup, or see `vaultcore audit reconcile`"
        )
    return msgspec.json.decode(blob[TAG:], type=State)
