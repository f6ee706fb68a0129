"""Whose address a request has, behind proxies and behind strangers that claim to be some."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.access.proxies import MAXIMUM_ENTRIES, UNKNOWN, Proxies
from vaultcore.errors import ConfigurationError

PROXIES = Proxies(["10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48"])


def client(peer: str, *headers: str) -> str:
    pairs = [header.partition(": ")[::2] for header in headers]
    return PROXIES.client(peer, [(name.lower().encode(), v.encode("latin-1")) for name, v in pairs])


@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9", "", "unix"])
@pytest.mark.parametrize(
    "header", ["X-Forwarded-For: 10.1.1.1", "Forwarded: for=10.1.1.1", "X-Forwarded-For: \xff"]
)
def test_what_a_stranger_claims_is_ignored(peer: str, header: str) -> None:
    assert client(peer, header) == peer
    assert client(peer) == peer


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        # What stands to the left of the last stranger is his own invention.
        ("10.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1,10.1.1.1 ,\t203.0.113.9, 10.2.2.2,192.0.2.1", "203.0.113.9"),
        ("garbage, 203.0.113.9", "203.0.113.9"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:10.1.1.1]", "10.1.1.1"),
        ("", UNKNOWN), (",", UNKNOWN), ("203.0.113.9,", UNKNOWN), ("unknown", UNKNOWN),
        ("203.0.113.9, garbage", UNKNOWN), ("203.0.113.09", UNKNOWN), ("203.0.113", UNKNOWN),
        ("203.0.113.9:", UNKNOWN), ("203.0.113.9:123456", UNKNOWN), ("fe80::1%eth0", UNKNOWN),
        ("[203.0.113.9", UNKNOWN), ("203.0.113.9/32", UNKNOWN), ("203.0.113.9\x00", UNKNOWN),
        ("\xb2.0.0.1", UNKNOWN), ("localhost", UNKNOWN),
    ],
)  # fmt: skip
def test_x_forwarded_for_is_read_from_the_right(header: str, found: str) -> None:
    assert client("10.0.0.1", f"X-Forwarded-For: {header}") == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ("for=10.1.1.1, for=203.0.113.9 ; host=a", "203.0.113.9"),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('by="a,for=1.2.3.4;";for="203.0.113.9:80"', "203.0.113.9"),
        ("for=10.1.1.1,for=10.2.2.2", "10.1.1.1"),
        ("for=_hidden", UNKNOWN), ("for=unknown", UNKNOWN), ("proto=https", UNKNOWN),
        ("for=203.0.113.9, proto=https", UNKNOWN), ("for=203.0.113.9;for=10.1.1.1", UNKNOWN),
        ("for = 203.0.113.9", UNKNOWN), ("", UNKNOWN), ("for", UNKNOWN), ("for=", UNKNOWN),
        ('for="203.0.113.9', UNKNOWN), ('for="\\203.0.113.9"', UNKNOWN),
        ("for=203.0.113.9,", UNKNOWN), ("for=203.0.113.9;", UNKNOWN),
        ("for=[2001:db8::1]", UNKNOWN),
    ],
)  # fmt: skip
def test_forwarded_is_read_from_the_right(header: str, found: str) -> None:
    assert client("192.0.2.1", f"Forwarded: {header}") == found


def test_a_proxy_that_tells_nothing_leaves_the_client_unknown() -> None:
    assert client("10.0.0.1") == UNKNOWN
    assert client("::ffff:10.0.0.1") == UNKNOWN


def test_several_headers_are_one_list() -> None:
    lines = [
        "X-Forwarded-For: 10.1.1.1",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-For: 10.3.3.3",
    ]
    assert client("10.0.0.1", *lines) == "203.0.113.9"


def test_the_header_that_a_proxy_does_not_write_cannot_overrule_the_other() -> None:
    real = "X-Forwarded-For: 203.0.113.9"
    assert client("10.0.0.1", real, "Forwarded: for=10.1.1.1") == UNKNOWN
    assert client("10.0.0.1", real, "Forwarded: nonsense") == UNKNOWN
    assert client("10.0.0.1", real, "Forwarded: for=203.0.113.9") == "203.0.113.9"


def test_a_chain_without_end_is_not_followed() -> None:
    chain = ", ".join(["203.0.113.9", *["10.1.1.1"] * MAXIMUM_ENTRIES])
    assert client("10.0.0.1", f"X-Forwarded-For: {chain}") == UNKNOWN


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "", "10.0.0.0/33", "*"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Proxies([text])


@given(st.text(max_size=60), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_any_header_gives_an_address_or_none(value: str, name: str) -> None:
    raw = value.encode("utf-8", "surrogatepass")
    found = PROXIES.client("10.0.0.1", [(name.encode(), raw)])
    assert found == UNKNOWN or str(ipaddress.ip_address(found)) == found


@given(st.text(max_size=60), st.ip_addresses())
def test_nothing_to_the_left_changes_what_the_proxy_added(left: str, right: object) -> None:
    raw = left.encode("utf-8", "surrogatepass") + b", " + str(right).encode()
    found = PROXIES.client("10.0.0.1", [(b"x-forwarded-for", raw)])
    alone = PROXIES.client("10.0.0.1", [(b"x-forwarded-for", str(right).encode())])
    assert found == alone or PROXIES.client(alone, []) != alone
