"""A caller in process and one over HTTPS read the same refusal."""

from pathlib import Path

import pytest

import vaultcore
from vaultcore import _core
from vaultcore.access import refusals


def test_python_and_the_core_refuse_in_the_same_words(tmp_path: Path) -> None:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="Dev")
        engine.management.firewall_set(vault="dev", default_action="Deny")
        state = engine.state("dev")
        stranger = vaultcore.Principal(object_id="o", app_id="a", issuer="i")
        get = _core.Operation("SecretGet", object_name="x")
        outside = engine.gate.authorize("dev", get, stranger, address="192.0.2.1")
        denied = engine.gate.authorize("dev", get, stranger)
        ours = (
            refusals.by_firewall(state, "192.0.2.1"),
            refusals.by_policy(state, stranger, "secrets/get"),
        )
        for admission, own in zip((outside, denied), ours, strict=True):
            assert admission.refusal == (own.status, own.code, own.message, own.inner_code)
        challenge = engine.gate.admit("dev", "GET", "/secrets/x", "", "192.0.2.1", None, 0.0)
        assert challenge.refusal is not None
        assert challenge.refusal[2] == refusals.no_token().message
        with pytest.raises(vaultcore.ForbiddenError, match="secrets get permission"):
            engine.vault("dev").acting_as(stranger).secrets.get("x")
