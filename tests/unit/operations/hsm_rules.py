"""What holds of keys in the HSM, while it answers and while it does not; through every face."""

from typing import Any, Final

import pytest

from unit.operations.asking import Ask
from unit.operations.prepared import DIGEST, Prepared
from unit.operations.rules import MANY_TAGS
from unit.operations.scenarios import Named
from unit.operations.three_faces import Scenario
from vaultcore.errors import ProtectorUnavailableError
from vaultcore.library.engine import LibraryEngine
from vaultcore.protectors.pkcs11.token import Token

#: The key of RFC 7517, appendix A.2.
EC_JWK: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
}


def no_hsm(patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> None:
    """The token does not answer."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise ProtectorUnavailableError("the token of /srv/hsm does not answer")

    patch.setattr(Token, "check", refuse)
    patch.setattr(Token, "open", refuse)
    patch.setattr(Token, "call", refuse)


def of_hsm(made: Prepared) -> Named:
    """Yields what the rules say of keys in the HSM."""
    signing = {"algorithm": "PS256", "digest": DIGEST}
    opening = {"algorithm": "RSA-OAEP", "ciphertext": made.made["rsa"]}
    sign, decrypt = Ask("KeySign", "hard", given=signing), Ask("KeyDecrypt", "hard", given=opening)
    said = {"Algorithm": "PS256"}
    yield "sign", Scenario(sign, record=said)
    yield "sign, no HSM", Scenario(sign, 503, record=said, fault=no_hsm)
    off = Scenario(sign._replace(name="hard-off"), 403, "KeyDisabled", record={"Algorithm": None})
    yield "sign, disabled, no HSM", off._replace(fault=no_hsm)
    unknown = sign._replace(given=signing | {"algorithm": "XX"})
    yield "sign, unknown algorithm, no HSM", Scenario(unknown, 400, fault=no_hsm)
    short = sign._replace(given=signing | {"digest": b"short"})
    yield "sign, short digest", Scenario(short, 400, record=said)
    yield "decrypt", Scenario(decrypt, record={"Algorithm": "RSA-OAEP"})
    other = decrypt._replace(given=opening | {"ciphertext": bytes(256)})
    yield "decrypt, what does not open", Scenario(other, 400)
    wrap = Ask("KeyWrap", "hard", given={"algorithm": "RSA-OAEP", "key": DIGEST})
    yield "wrap, no HSM", Scenario(wrap, 503, record={"Algorithm": "RSA-OAEP"}, fault=no_hsm)
    create = Ask("KeyCreate", "new", given={"kty": "EC-HSM"})
    yield "create", Scenario(create)
    yield "create, no HSM", Scenario(create, 503, fault=no_hsm)
    tags = {"tags": MANY_TAGS}
    wrong = create._replace(given={**create.given, **tags})
    yield "create, too many tags, no HSM", Scenario(wrong, 400, fault=no_hsm)
    taken = Scenario(create._replace(name="hard-gone"), 409, "ObjectIsDeletedButRecoverable")
    yield "create, deleted, no HSM", taken._replace(fault=no_hsm)
    import_ = Ask("KeyImport", "new", given={"jwk": EC_JWK, "hsm": True})
    yield "import", Scenario(import_)
    yield "import, no HSM", Scenario(import_, 503, fault=no_hsm)
    wrong = import_._replace(given={**import_.given, **tags})
    yield "import, too many tags, no HSM", Scenario(wrong, 400, fault=no_hsm)
    wrong = import_._replace(given={"jwk": EC_JWK | {"d": "AA"}, "hsm": True})
    yield "import, malformed, no HSM", Scenario(wrong, 400, fault=no_hsm)
    yield "rotate", Scenario(Ask("KeyRotate", "hard-off"))
    yield "rotate, no HSM", Scenario(Ask("KeyRotate", "hard-off"), 503, fault=no_hsm)
    yield "backup", Scenario(Ask("KeyBackup", "hard"), 400)
    yield "purge", Scenario(Ask("KeyPurge", "hard-gone"), 204)
    yield "purge, no HSM", Scenario(Ask("KeyPurge", "hard-gone"), 204, fault=no_hsm)
