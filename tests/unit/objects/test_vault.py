"""A vault in memory: its settings, and its end."""

import msgspec
import pytest

from vaultcore.clock import ManualClock
from vaultcore.errors import NotFoundError, ProtectorError, TamperedError
from vaultcore.installation.vault_settings import VaultSettings
from vaultcore.objects.kinds import OpenVault


@pytest.mark.parametrize(
    ("days", "protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (90, True, "Recoverable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (89, True, "CustomizedRecoverable"),
    ],
)
def test_the_recovery_level_is_the_contracts(
    vault: OpenVault, days: int, protected: bool, level: str
) -> None:
    vault.apply(
        msgspec.structs.replace(vault.settings, retention_days=days, purge_protection=protected)
    )
    assert vault.recovery_level == level
    assert vault.retention_days == days


def test_settings_are_taken_over_whole(vault: OpenVault) -> None:
    vault.apply(VaultSettings("other", 1, secret_expiry="inform"))
    assert (vault.name, vault.enforces_expiry, vault.purge_protection) == ("other", False, False)
    vault.apply(VaultSettings("other", 1, purge_protection=True))
    assert (vault.enforces_expiry, vault.purge_protection) == (True, True)


def test_the_time_is_in_whole_seconds(vault: OpenVault, clock: ManualClock) -> None:
    clock.set(5.9)
    assert vault.now() == 5


def test_a_removed_vault_says_that_it_was(vault: OpenVault) -> None:
    vault.close()
    assert vault.removed
    with pytest.raises(NotFoundError) as refused:
        vault.refuse()
    assert refused.value.code == "VaultNotFound"


@pytest.mark.parametrize("kind", [ProtectorError, TamperedError])
def test_a_vault_that_cannot_be_opened_any_more_says_why_to_each_caller(
    vault: OpenVault, kind: type[Exception]
) -> None:
    failure = kind("its key does not verify")
    vault.close(failure)  # type: ignore[arg-type]
    with pytest.raises(kind, match="does not verify") as first:
        vault.refuse()
    with pytest.raises(kind) as second:
        vault.refuse()
    assert first.value is not second.value is not failure
