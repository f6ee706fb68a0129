"""Reads what is written on the command line: dates, tags, yes and no, encodings, identifiers."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from vaultcore.cli.outcome import CommandError

_KINDS: Final = ("secrets", "keys", "certificates")
#: How a file may hold the value of a secret.
Encoding = Literal["ascii", "base64", "hex", "utf-16be", "utf-16le", "utf-8"]


class Identifier(NamedTuple):
    """An object's address, taken apart.

    Attributes:
        vault: the vault's name.
        name: the object's name.
        version: 32 hexadecimal characters, or empty for the current version.
    """

    vault: str
    name: str
    version: str


def read_date(text: str) -> int:
    """Reads a date as Unix seconds.

    Args:
        text: ``2030-01-31T12:00:00Z``, ``2030-01-31`` (both UTC), or Unix seconds.

    Raises:
        CommandError: it is none of these.
    """
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"`{text[:40]}` is not a date: write 2030-01-31T12:00:00Z, 2030-01-31 or Unix seconds"
        ) from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return int(date.timestamp())


def read_tags(words: list[str] | None, what: str = "a tag") -> dict[str, str] | None:
    """Reads tags, or other pairs, written as ``key=value``.

    An empty word alone means no tags, which is how all of them are removed.

    Args:
        words: as they were written.
        what: what the message calls one of them.

    Raises:
        CommandError: a word has no ``=``.
    """
    if words is None:
        return None
    tags = {}
    for word in words:
        if word == "":
            continue
        key, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"{what} is written key=value, not `{word[:40]}`")
        tags[key] = value
    return tags


def read_truth(word: str | None) -> bool | None:
    """Reads ``true`` or ``false``; None stays None."""
    return None if word is None else word == "true"


def read_words(words: list[str] | None) -> list[str] | None:
    """Reads a list in which an empty word alone means an empty list."""
    return None if words is None else [word for word in words if word]


def read_identifier(text: str) -> Identifier:
    """Reads an identifier in the form that the service returns.

    Args:
        text: for example ``https://dev.vault.localhost:8443/secrets/name/version``.

    Raises:
        CommandError: it is not an identifier.
    """
    try:
        address = urlsplit(text)
    except ValueError:
        address = urlsplit("")
    parts = address.path.split("/")[1:]
    kind = parts[0].removeprefix("deleted") if parts else ""
    if address.scheme != "https" or not address.hostname or kind not in _KINDS:
        raise CommandError(
            "an identifier is written https://VAULT-HOST/secrets|keys/NAME[/VERSION]"
        )
    if not 2 <= len(parts) <= 3 or not parts[1]:  # noqa: PLR2004 - kind, name, version
        raise CommandError("the identifier names no object: .../secrets|keys/NAME[/VERSION]")
    version = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004
    return Identifier(address.hostname.partition(".")[0], parts[1], version)


def decode_text(data: bytes, encoding: str) -> str:
    """Returns the text that is stored as a secret for the contents of a file.

    Args:
        data: the file.
        encoding: a text encoding, or ``base64`` or ``hex`` to store a binary file in that form.

    Raises:
        CommandError: the file is not in that encoding.
    """
    if encoding == "base64":
        return base64.b64encode(data).decode()
    if encoding == "hex":
        return data.hex()
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise CommandError(
            f"the file is not {encoding} text: choose another --encoding, base64 for binary"
        ) from None


def encode_text(text: str, encoding: str) -> bytes:
    """Returns the contents of a file for a secret's value; the reverse of :func:`decode_text`.

    Raises:
        CommandError: the value is not in that encoding.
    """
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        if encoding == "hex":
            return bytes.fromhex(text)
        return text.encode(encoding)
    except (binascii.Error, ValueError):
        raise CommandError(
            f"the value cannot be written as {encoding}: choose another --encoding"
        ) from None


def read_base64(text: str, option: str) -> bytes:
    """Reads base64 in either alphabet, padded or not.

    Raises:
        CommandError: it is not base64; the message names the option.
    """
    bare = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CommandError(f"{option} is not base64") from None
