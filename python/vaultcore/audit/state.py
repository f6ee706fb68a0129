"""How far the log had come, as the store keeps it: a log that was put back alone is found by it."""

from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.errors import TamperedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore.storage import Store, Transaction

#: The document that tells it.
STATE: Final = ("audit", "state")
#: How many bytes a MAC has; it stands before what it vouches for.
TAG: Final = 16
_LABEL: Final = b"audit/state\n"


class State(msgspec.Struct, frozen=True):
    """How far the log had come, as the store keeps it.

    Attributes:
        sequence: the number of a record that was signed.
        head: its hash.
        revision: the highest revision of the store that a record had told of.
    """

    sequence: int
    head: str
    revision: int = 0


def keep_state(transaction: "Transaction", tag: "Callable[[bytes], bytes]", state: State) -> None:
    """Keeps how far the log has come, with a MAC."""
    body = msgspec.json.encode(state)
    transaction.put_document(*STATE, tag(_LABEL + body) + body)


def load_state(store: "Store | Transaction", tagged: "Callable[[bytes, bytes], bool]") -> State:
    """Returns how far the log had come, as a store knows it.

    Raises:
        TamperedError: what the store knows was changed.
        StorageError: the store cannot be read.
    """
    blob = store.document(*STATE) or b""
    if not tagged(_LABEL + blob[TAG:], blob[:TAG]):
        raise TamperedError(
            "what the store knows of the audit log does not verify: it was changed outside the "
            "vault; restore the database from a backup, or see `vaultcore audit reconcile`"
        )
    return msgspec.json.decode(blob[TAG:], type=State)
