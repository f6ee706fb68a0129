"""Results show nothing secret."""

from vaultcore._core import Key
from vaultcore.objects.attributes import Metadata, Version
from vaultcore.objects.secrets import CachedSecret
from vaultcore.objects.usable_key import UsableKey
from vaultcore.operations.results import KeyResult, Revealed, Stored

VERSION = "0" * 32
METADATA = Metadata(1, 1)


def test_what_is_shown_of_a_result_names_what_it_came_from() -> None:
    secret = CachedSecret("name", VERSION, METADATA, b"sealed", None)  # type: ignore[arg-type]
    key = UsableKey("name", VERSION, METADATA, Key.generate("oct", size=256))
    for result in (
        Revealed(secret, b"canary"),
        Stored(Version("name", VERSION, METADATA), "canary"),
        KeyResult(key, b"canary"),
    ):
        assert "canary" not in repr(result)
        assert f"name/{VERSION}" in repr(result)
