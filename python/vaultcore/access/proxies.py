"""The client's own address, if trusted proxies are in front of the service.

A proxy names its client in ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239). Anybody can send these
headers, so they are read only if the TCP peer is a proxy that the configuration names, and then
from the right: each proxy appends to what it received, and the first entry that is not a proxy's
own is the last one that a trusted proxy wrote.
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from vaultcore.errors import ConfigurationError

#: The client's address if a proxy does not report it, or not in a form that can be trusted. It lies
#: in no range of a firewall.
UNKNOWN: Final = "unknown"
#: The longest chain of proxies.
MAXIMUM_ENTRIES: Final = 32
_X_FORWARDED_FOR: Final = b"x-forwarded-for"
_FORWARDED: Final = b"forwarded"
#: An entry of either header, with the port that some proxies add.
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?"
)
#: A parameter of a forwarded-element, and its terminator (RFC 7239 section 4).
_PAIR: Final = re.compile(
    r"[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]+))[ \t]*(?P<end>[;,]|$)"
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Iterable[tuple[bytes, bytes]]


class Proxies:
    """The proxies that are trusted.

    Args:
        ranges: their addresses, or CIDR ranges of them.

    Raises:
        ConfigurationError: an entry is not an address or a range.
    """

    def __init__(self, ranges: Sequence[str]) -> None:
        self._networks: list[Network] = []
        for text in ranges:
            try:
                self._networks.append(ipaddress.ip_network(text))
            except ValueError:
                raise ConfigurationError(
                    f"`{text[:64]}` is neither an address nor a range of addresses, such as "
                    "10.0.0.0/8; the bits behind the prefix are zero"
                ) from None
        # Requests come from the same few proxies again and again.
        self._trusts: Callable[[str], bool] = functools.lru_cache(maxsize=1024)(self._holds)

    def client(self, peer: str, headers: Headers) -> str:
        """Returns the address of the client.

        Args:
            peer: the address of the TCP connection.
            headers: the headers of the request, with names in lower case.

        Returns:
            The peer, if it is not a trusted proxy. Otherwise what the peer reports: the right-most
            address that is not a trusted proxy's, or the left-most one if all are. It is
            :data:`UNKNOWN` if the peer reports nothing, something malformed, or two different
            things in the two headers.
        """
        if not self._trusts(peer):
            return peer
        old = [value for name, value in headers if name == _X_FORWARDED_FOR]
        new = [value for name, value in headers if name == _FORWARDED]
        found = {
            self._pick(entries)
            for entries in (_split(old) if old else None, _elements(new) if new else None)
            if entries is not None
        }
        # A proxy that writes one of them passes the other one on as it was received.
        return found.pop() if len(found) == 1 else UNKNOWN

    def _pick(self, entries: list[str]) -> str:
        client = UNKNOWN
        if len(entries) > MAXIMUM_ENTRIES:
            return client
        for entry in reversed(entries):
            address = _read(entry)
            if address is None:
                return UNKNOWN
            client = address
            if not self._trusts(address):
                break
        return client

    def _holds(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._networks)


def _split(values: list[bytes]) -> list[str]:
    """Returns the entries of X-Forwarded-For; several of these headers are one list."""
    return [entry.strip(" \t") for entry in b",".join(values).decode("latin-1").split(",")]


def _elements(values: list[bytes]) -> list[str]:
    """Returns the client of each forwarded-element; an empty text if it names none."""
    text = b",".join(values).decode("latin-1")
    found, element, place = [], dict[str, str](), 0
    while True:
        pair = _PAIR.match(text, place)
        name = "" if pair is None else pair["name"].lower()
        if pair is None or name in element:
            return [""]
        element[name] = pair["token"] or pair["quoted"] or ""
        if pair["end"] != ";":
            found.append(element.get("for", ""))
            element = {}
        if not pair["end"]:
            return found
        place = pair.end()


def _read(entry: str) -> str | None:
    """Reads an address as proxies write it: IPv6 also without brackets, optionally with a port."""
    matched = _ADDRESS.fullmatch(entry)
    text = entry if matched is None else matched["bracketed"] or matched["four"]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)
