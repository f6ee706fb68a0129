"""The worker process: one process, one thread, one session with one token.

A PKCS#11 module is native code of a third party. It must not be called from several threads or
carried over a fork, it may crash, and it may hang. So it runs here, where it can only take this
process with it. Started as ``python -m vaultcore.protectors.pkcs11.worker.main DESCRIPTOR``; the
descriptor is its end of a socket pair, over which it also gets the PIN.
"""

import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import msgspec

from vaultcore.hardening import harden
from vaultcore.protectors.pkcs11 import messages
from vaultcore.protectors.pkcs11.worker.initialisation import init_token
from vaultcore.protectors.pkcs11.worker.key_pair import KeyPairs
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError
from vaultcore.protectors.pkcs11.worker.session import Session
from vaultcore.protectors.pkcs11.worker.wrap_key import WrapKeys

#: Seconds beyond the deadline of a call after which a worker whose service has ended exits.
_GRACE: Final = 2.0

Handler = Callable[[Any], messages.Reply]


class Worker:
    """Answers the requests of one service."""

    def __init__(self) -> None:
        self._handlers: dict[type, Handler] = {
            messages.InitToken: init_token,
            messages.Open: self._open,
        }

    def answer(self, request: messages.Request) -> messages.Reply:
        """Returns the reply to one request; a refusal is a reply, too."""
        handler = self._handlers.get(type(request))
        if handler is None:
            return messages.Failed(
                category="unavailable", text="the worker has no session with a token"
            )
        try:
            return handler(request)
        except RefusalError as refusal:
            return messages.Failed(category=refusal.category, text=refusal.text)

    def _open(self, request: messages.Open) -> messages.Reply:
        session = Session.open(request)
        wrap_keys, key_pairs = WrapKeys(session), KeyPairs(session)
        self._handlers |= {
            messages.Decrypt: key_pairs.decrypt,
            messages.Destroy: key_pairs.destroy,
            messages.FindWrapKey: wrap_keys.find,
            messages.Generate: key_pairs.generate,
            messages.Import: key_pairs.import_,
            messages.GenerateWrapKey: wrap_keys.generate,
            messages.PublicPart: key_pairs.public_part,
            messages.Sign: key_pairs.sign,
            messages.Unwrap: wrap_keys.unwrap,
            messages.Wrap: wrap_keys.wrap,
        }
        return session.describe()


def main() -> int:
    """Serves until the other side closes the socket.

    Returns:
        The exit status.
    """
    harden()
    sys.excepthook = _report
    sys.unraisablehook = _ignore
    channel = socket.socket(fileno=int(sys.argv[1]))
    decoder = msgspec.msgpack.Decoder(messages.Call)
    worker = Worker()
    while True:
        try:
            call = decoder.decode(messages.receive(channel))
        except (EOFError, OSError):
            return 0
        # If the service dies while the module hangs, nothing else can end this process: the alarm's
        # default action does.
        signal.setitimer(signal.ITIMER_REAL, call.seconds + _GRACE)
        reply = worker.answer(call.request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            body = msgspec.msgpack.encode(messages.Answer(number=call.number, reply=reply))
            messages.send(channel, body)
        except OSError:
            return 0


def _report(kind: type[BaseException], _error: BaseException, where: TracebackType | None) -> None:
    """Reports a crash by its kind and place; the text of an exception may quote the request."""
    frames = traceback.extract_tb(where)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    sys.stderr.write(f"vaultcore HSM worker: {kind.__name__} at {place}\n")


def _ignore(_: object) -> None:
    """Ignores a failure of the clean-up after a failed call; the call has reported its own."""


if __name__ == "__main__":
    sys.exit(main())
