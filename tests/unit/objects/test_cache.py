"""What is cached is never older than what was invalidated."""

import pytest

from vaultcore.objects.cache import Cache


def test_what_was_put_is_found_until_its_object_changes() -> None:
    cache: Cache[str] = Cache()
    seen = cache.seen()
    for place in (("A", ""), ("A", "1"), ("B", "")):
        cache.put(place, "found", seen)
    cache.invalidate("A")
    assert cache.get(("A", "")) is None
    assert cache.get(("A", "1")) is None
    assert cache.get(("B", "")) == "found"


def test_a_slow_reader_does_not_put_back_what_a_write_removed() -> None:
    cache: Cache[str] = Cache()
    seen = cache.seen()
    cache.invalidate("A")
    cache.put(("A", ""), "old", seen)
    assert cache.get(("A", "")) is None


def test_nor_after_everything_was_forgotten() -> None:
    cache: Cache[str] = Cache()
    seen = cache.seen()
    cache.put(("A", ""), "old", seen)
    cache.clear()
    cache.put(("B", ""), "old", seen)
    assert cache.get(("A", "")) is None
    assert cache.get(("B", "")) is None


def test_a_full_cache_forgets_the_oldest_object_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vaultcore.objects.cache.CACHE_SIZE", 3)
    cache: Cache[str] = Cache()
    for place in (("A", ""), ("A", "1"), ("B", ""), ("C", "")):
        cache.put(place, place[0], cache.seen())
    assert cache.get(("A", "")) is None
    assert cache.get(("A", "1")) is None
    assert cache.get(("B", "")) == "B"
    assert cache.get(("C", "")) == "C"


def test_an_entry_that_is_put_again_is_the_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultcore.objects.cache.CACHE_SIZE", 2)
    cache: Cache[str] = Cache()
    for entry in ("old", "new"):
        cache.put(("A", ""), entry, cache.seen())
    assert cache.get(("A", "")) == "new"
    cache.invalidate("A")
    assert cache.get(("A", "")) is None
