"""A refusal of the gate is raised in the gate's own words."""

from pathlib import Path

import pytest

import vaultcore
from vaultcore.access import refusals
from vaultcore.errors import BadParameterError, ForbiddenError, UnauthorizedError, VaultError


def test_a_refusal_has_the_status_codes_and_words_of_the_gate(tmp_path: Path) -> None:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="Dev")
        engine.management.firewall_set(vault="dev", default_action="Deny")
        stranger = vaultcore.Principal(object_id="o", app_id="a", issuer="i")
        gate = engine.gate
        kinds: list[type[VaultError]] = [ForbiddenError, ForbiddenError, BadParameterError]
        admissions = [
            gate.authorize("dev", "SecretGet", stranger, "x", address="192.0.2.1"),
            gate.authorize("dev", "SecretGet", stranger, "x"),
            gate.authorize("dev", "SecretGet", stranger, "../x"),
        ]
        for admission, kind in zip(admissions, kinds, strict=True):
            raised = refusals.by_gate(admission)
            assert type(raised) is kind
            shown = (raised.status, raised.code, raised.message, raised.inner_code)
            assert admission.refusal == shown
            assert admission.asked == "SecretGet"
        challenge = gate.admit("dev", "GET", "/secrets/x", "", "192.0.2.1", None, 0.0)
        assert refusals.by_gate(challenge).message == refusals.no_token().message
        assert type(refusals.by_gate(challenge)) is UnauthorizedError
        with pytest.raises(vaultcore.ForbiddenError, match="secrets get permission"):
            engine.vault("dev").acting_as(stranger).secrets.get("x")
