"""The configuration of trusted issuers, as the documentation writes it."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.access.trust import IssuerSettings, trust_entra
from vaultcore.errors import ConfigurationError

DOCUMENT = Path(__file__).parents[3] / "docs" / "identity.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def settings_of(example: str) -> list[IssuerSettings]:
    return msgspec.convert(tomllib.loads(example).get("issuers", []), list[IssuerSettings])


def test_the_documentation_has_an_example_for_each_kind_of_issuer() -> None:
    names = {settings.name for example in EXAMPLES for settings in settings_of(example)}
    assert names == {"keycloak", "cluster", "github"}
    assert any("[entra]" in example for example in EXAMPLES)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if "[[issuers]]" in e])
def test_each_example_of_the_documentation_is_a_rule(example: str, tmp_path: Path) -> None:
    (settings,) = settings_of(example)
    if settings.ca_file:
        with pytest.raises(ConfigurationError, match="authority"):
            settings.trust()  # the file is only there inside of a cluster
        settings = msgspec.structs.replace(settings, ca_file="")
    rules = settings.trust()
    assert isinstance(rules.keys, RemoteKeys)
    assert rules.object_id_prefix == f"{settings.name}:"
    assert rules.object_id_claims == ("sub",)
    assert rules.audiences == {"https://vault.example.com"}


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text()
    for name in IssuerSettings.__struct_fields__:
        assert f"`{name}`" in text or f"\n{name} = " in text, name


@pytest.mark.parametrize(
    "wrong", [{"algorithm": "RS256"}, {"audiences": "x"}, {"leeway": "60"}, {"name": None}]
)
def test_a_misspelt_or_mistyped_setting_is_refused(wrong: dict[str, object]) -> None:
    right = {"name": "x", "issuer": "https://x.example", "audiences": ["vault"]}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**right, **wrong}, IssuerSettings)


def test_a_prefix_is_given_up_only_on_purpose() -> None:
    right = {"name": "x", "issuer": "https://x.example", "audiences": ["vault"]}
    assert msgspec.convert(right, IssuerSettings).trust().object_id_prefix == "x:"
    open_ = msgspec.convert({**right, "object_id_prefix": ""}, IssuerSettings).trust()
    assert open_.object_id_prefix == ""


@pytest.mark.parametrize("algorithms", [[], ["HS256"], ["none"], ["RS256", "HS512"], ["rs256"]])
def test_only_asymmetric_algorithms_can_be_configured(algorithms: list[str]) -> None:
    settings_ = IssuerSettings(
        name="x", issuer="https://x.example", audiences=["vault"], algorithms=algorithms
    )
    with pytest.raises(ConfigurationError, match="signs with"):
        settings_.trust()


def test_entra_tokens_of_both_versions_are_understood() -> None:
    tenant = "AAAAAAAA-2222-3333-4444-555555555555"
    first, second = trust_entra(tenant, frozenset({"https://vault.example"}))
    assert first.issuer == f"https://sts.windows.net/{tenant.lower()}/"
    assert second.issuer == f"https://login.microsoftonline.com/{tenant.lower()}/v2.0"
    for rules in (first, second):
        assert rules.object_id_prefix == ""
        assert rules.object_id_claims == ("oid",)
        assert rules.tenants == {tenant.lower()}
