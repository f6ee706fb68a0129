"""Lists page by page: what a link is, who may use it, and what it skips."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from driver import LATEST

if TYPE_CHECKING:
    from driver import Service, Vault

UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]+")


def names_of(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"].rpartition("/")[2] for item in items]


def token_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["$skiptoken"][0]


@pytest.fixture(scope="module")
def names() -> list[str]:
    rng = random.Random(7)
    mixed = [f"Name-{number}" if number % 2 else f"nAME-{number}" for number in range(0, 120, 2)]
    mixed += ["-", "--", "0", "00", "9a", "A", "aa", "Ab", "b", "Z", "z-", "zz"]
    rng.shuffle(mixed)
    return mixed


@pytest.fixture(scope="module")
def full(api: Service, names: list[str]) -> Vault:
    made = api.make_vault()
    for name in names:
        made.set(name, "v")
    return made


def test_quirk_10_links_and_order(full: Vault, names: list[str]) -> None:
    pages = full.pages("/secrets")
    assert [len(page) for page in pages] == [25, 25, len(names) - 50]
    found = [name for page in pages for name in names_of(page)]
    assert found == sorted(names, key=str.upper)


@pytest.mark.parametrize("size", [1, 2, 24, 25])
def test_maxresults(full: Vault, names: list[str], size: int) -> None:
    first = full.do("GET", f"/secrets?maxresults={size}")
    assert len(first["value"]) == size
    # It is in the link only when the caller sent it.
    assert parse_qs(urlsplit(first["nextLink"]).query)["maxresults"] == [str(size)]
    without = full.do("GET", "/secrets")["nextLink"]
    assert "maxresults" not in without
    if size > 1:
        pages = full.pages(f"/secrets?maxresults={size}")
        assert all(len(page) == size for page in pages[:-1])
        assert [n for page in pages for n in names_of(page)] == sorted(names, key=str.upper)


@pytest.mark.parametrize(
    "size",
    ["0", "26", "-1", "x", "", "1.0", "1e1", "%31%30%30", "99999999999999999999", "1&maxresults=2"],
)
def test_maxresults_out_of_range(full: Vault, size: str) -> None:
    full.refuse(400, "BadParameter", "GET", f"/secrets?maxresults={size}")


def test_shape_of_a_link(full: Vault) -> None:
    for path in ("/secrets", "/secrets/", "//secrets"):
        link = full.do("GET", path, api="7.3")["nextLink"]
        parts = urlsplit(link)
        # The same scheme, host and port: clients keep their challenges by them.
        assert f"{parts.scheme}://{parts.netloc}" == full.url
        assert parts.path == "/secrets"
        assert set(parse_qs(parts.query)) == {"api-version", "$skiptoken"}
        assert parse_qs(parts.query)["api-version"] == ["7.3"]
        assert UNRESERVED.fullmatch(token_of(link))
        assert b"NAME" not in token_of(link).encode()


def test_links_stay_on_the_host_that_was_asked(full: Vault, api: Service) -> None:
    api.vault().set("one", "v")
    api.vault().set("two", "v")
    for host in ("localhost", "127.0.0.1"):
        answer = api.http.get(
            f"https://{host}:{api.port}/secrets?maxresults=1&api-version={LATEST}",
            headers={"authorization": f"Bearer {api.admin}"},
        )
        assert answer.json()["nextLink"].startswith(f"https://{host}:{api.port}/secrets?")


def test_a_client_may_rewrite_a_link_as_the_python_sdk_does(full: Vault, names: list[str]) -> None:
    link = full.do("GET", "/secrets", api="7.4")["nextLink"]
    # It parses the query, quotes each value anew, and puts its own api-version in.
    parameters = {
        name: [quote(v) for v in values] for name, values in parse_qs(urlsplit(link).query).items()
    }
    parameters["api-version"] = [LATEST]
    query = "&".join(f"{quote(name)}={values[0]}" for name, values in parameters.items())
    page = full.do("GET", f"/secrets?{query}", api=None)
    assert names_of(page["value"]) == sorted(names, key=str.upper)[25:50]


def test_a_token_is_its_callers_and_its_lists(full: Vault, api: Service) -> None:
    token = token_of(full.do("GET", "/secrets")["nextLink"])
    assert full.do("GET", f"/secrets?$skiptoken={token}")["value"]
    assert full.do("GET", f"/secrets?%24skiptoken={token}")["value"]
    refusals = {
        full.refuse(400, "BadParameter", "GET", f"{path}?$skiptoken={token}")
        for path in ("/keys", "/deletedsecrets", "/deletedkeys", "/secrets/A/versions")
    }
    other = api.stranger(full.name, secrets=["list"])
    refusals.add(other.refuse(400, "BadParameter", "GET", f"/secrets?$skiptoken={token}"))
    elsewhere = api.make_vault()
    refusals.add(elsewhere.refuse(400, "BadParameter", "GET", f"/secrets?$skiptoken={token}"))
    assert len(refusals) == 1
    # A caller without the permission learns that first.
    stranger = api.stranger(full.name, secrets=["get"])
    path = f"/secrets?$skiptoken={token}"
    stranger.refuse(403, "Forbidden", "GET", path, inner="AccessDenied")


def test_a_versions_token_is_bound_to_its_name(full: Vault) -> None:
    for name in ("v-one", "v-two"):
        full.set(name, "v")
        full.set(name, "v")
    token = token_of(full.do("GET", "/secrets/v-one/versions?maxresults=1")["nextLink"])
    assert len(full.do("GET", f"/secrets/V-ONE/versions?$skiptoken={token}")["value"]) == 1
    path = f"/secrets/v-two/versions?$skiptoken={token}"
    full.refuse(400, "BadParameter", "GET", path)
    for name in ("v-one", "v-two"):
        full.do("DELETE", f"/secrets/{name}")
        full.do("DELETE", f"/deletedsecrets/{name}", status=204)


def test_a_changed_token_is_refused(full: Vault) -> None:
    token = token_of(full.do("GET", "/secrets")["nextLink"])
    changed = [
        token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]
        for at in range(len(token) - 1)
    ]
    changed += [token[:-4], token + "AAAA", token * 2, "A", "~", ".", "x" * 2048]
    for one in changed:
        full.refuse(400, "BadParameter", "GET", f"/secrets?$skiptoken={one}")
    for one in ("a%20b", "%00", "%C3%BC", "a'--", "%7B%7D", "x" * 2049, "a/b", "%ff"):
        full.refuse(400, "BadParameter", "GET", f"/secrets?$skiptoken={one}")


def test_lists_of_exactly_one_and_two_pages_end(api: Service) -> None:
    made = api.make_vault()
    assert made.do("GET", "/secrets") == {"value": [], "nextLink": None}
    assert made.do("GET", "/keys") == {"value": [], "nextLink": None}
    assert made.do("GET", "/deletedsecrets") == {"value": [], "nextLink": None}
    assert made.do("GET", "/deletedkeys") == {"value": [], "nextLink": None}
    for number in range(50):
        made.set(f"n{number:02}", "v")
        if number == 24:
            assert made.do("GET", "/secrets")["nextLink"] is None
    assert [len(page) for page in made.pages("/secrets")] == [25, 25]
    for number in range(50):
        made.do("DELETE", f"/secrets/n{number:02}")
    assert [len(page) for page in made.pages("/deletedsecrets")] == [25, 25]


def test_a_list_goes_on_where_it_stopped_while_others_write(full: Vault, names: list[str]) -> None:
    expected = sorted(names, key=str.upper)
    first = full.do("GET", "/secrets?maxresults=20")
    assert names_of(first["value"]) == expected[:20]
    gone, marker = expected[5], expected[19]
    # Before the mark, at it, and after it.
    for name in (gone, marker, expected[30]):
        full.do("DELETE", f"/secrets/{name}")
    full.set("0-before", "v")
    full.set(marker + "-after", "v")
    full.set("ZZZ-last", "v")
    full.set(expected[40].swapcase(), "another version")
    rest, link = [], first["nextLink"]
    while link:
        page = full.do("GET", link.removeprefix(full.url), api=None)
        rest += names_of(page["value"])
        link = page["nextLink"]
    wanted = {*expected[20:], marker + "-after", "ZZZ-last"} - {expected[30]}
    assert rest == sorted(wanted, key=str.upper)
    for name in (gone, marker, expected[30]):
        full.do("POST", f"/deletedsecrets/{name}/recover")
    for name in ("0-before", marker + "-after", "ZZZ-last"):
        full.do("DELETE", f"/secrets/{name}")
        full.do("DELETE", f"/deletedsecrets/{name}", status=204)


def test_every_page_is_whole_while_many_write(api: Service) -> None:
    made = api.make_vault()
    stay = {f"stay-{number:03}" for number in range(60)}
    for name in stay:
        made.set(name, "v")

    def churn(worker: int) -> None:
        for turn in range(12):
            name = f"stay-{turn * 5:03}-{worker}"
            made.set(name, "v")
            made.do("DELETE", f"/secrets/{name}")
            made.do("DELETE", f"/deletedsecrets/{name}", status=204)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(churn, worker) for worker in range(3)]
        for _ in range(6):
            found = [n for page in made.pages("/secrets?maxresults=7") for n in names_of(page)]
            assert found == sorted(set(found))
            assert stay <= set(found)
        for one in running:
            one.result()


def test_versions_newest_first_over_pages(api: Service) -> None:
    made = api.make_vault()
    stored = [made.set("s", "v")["id"] for _ in range(60)]
    pages = made.pages("/secrets/s/versions")
    assert [len(page) for page in pages] == [25, 25, 10]
    assert [item["id"] for page in pages for item in page] == stored[::-1]
    # New versions do not move what comes next.
    first = made.do("GET", "/secrets/s/versions")
    made.set("s", "newest")
    second = made.do("GET", first["nextLink"].removeprefix(made.url), api=None)
    assert [item["id"] for item in second["value"]] == stored[::-1][25:50]
    kids = [made.create("k", "EC")["key"]["kid"] for _ in range(30)]
    pages = made.pages("/keys/k/versions?maxresults=20")
    assert [item["kid"] for page in pages for item in page] == kids[::-1]
