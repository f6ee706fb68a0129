"""What the rules of objects say in each state and to each argument; the same through every face."""

from collections.abc import Iterator
from typing import Any, Final

from unit.operations.asking import KEK, Ask
from unit.operations.prepared import DATA_KEY, DAY, DIGEST, NOW, OCT_JWK, Prepared
from unit.operations.scenarios import USES, Named, good
from unit.operations.three_faces import COMMAND_LINE, HTTPS, LIBRARY, Scenario
from vaultcore.objects.attributes import LATEST_DATE

RECOVERY: Final = "CustomizedRecoverable+Purgeable"
MANY_TAGS: Final = {f"tag-{number}": "" for number in range(16)}
BAD_DATES: Final[dict[str, dict[str, Any]]] = {
    "dates in the wrong order": {"not_before": NOW + 9, "expires": NOW + 9},
    "date before 1970": {"expires": -1},
    "date after the last": {"not_before": LATEST_DATE + 1},
}
#: Arguments that no kind takes, whatever else is said.
BAD_ATTRIBUTES: Final[dict[str, dict[str, Any]]] = {
    **BAD_DATES,
    "too many tags": {"tags": MANY_TAGS},
    "tag that is too long": {"tags": {"t" * 513: ""}},
    "tag that is not text": {"tags": {"a": 1}},
    "tag without a name": {"tags": {"": "b"}},
    "date that is not a number": {"expires": "tomorrow"},
    "enabled that is not true or false": {"enabled": "yes"},
}


BAD_SECRETS: Final[dict[str, dict[str, Any]]] = {
    "value that is too long": {"value": "v" * (25 * 1024 + 1)},
    "content type that is too long": {"value": "v", "content_type": "c" * 256},
    "value that is not text": {"value": 5},
    "content type that is not text": {"value": "v", "content_type": 5},
    **{what: {"value": "v"} | wrong for what, wrong in BAD_ATTRIBUTES.items()},
}
BAD_KEYS: Final[dict[str, dict[str, Any]]] = {
    "unknown type": {"kty": "QR"},
    "symmetric in the HSM": {"kty": "oct-HSM"},
    "type that is not text": {"kty": 5},
    "size": {"kty": "RSA", "size": 1024},
    "size of a symmetric key": {"kty": "oct", "size": 129},
    "size that is not a number": {"kty": "RSA", "size": "2048"},
    "size and no curve": {"kty": "EC", "size": 256},
    "curve": {"kty": "EC", "curve": "P-255"},
    "curve of RSA": {"kty": "RSA", "curve": "P-256"},
    "use of another type": {"kty": "EC", "operations": ["encrypt"]},
    "use that does not exist": {"kty": "oct", "operations": ["guess"]},
    "use named twice": {"kty": "EC", "operations": ["sign", "sign"]},
    "uses that are not a list": {"kty": "EC", "operations": "sign"},
    **{what: {"kty": "oct"} | wrong for what, wrong in BAD_ATTRIBUTES.items()},
}
GOOD_KEYS: Final[dict[str, dict[str, Any]]] = {
    "RSA": {"kty": "RSA", "size": 2048},
    "EC": {"kty": "EC", "curve": "P-256K", "operations": ["verify"]},
    "no uses": {"kty": "EC", "operations": []},
    "disabled": {"kty": "oct", "enabled": False},
}
BAD_JWKS: Final[dict[str, dict[str, Any]]] = {
    "no type": {"k": OCT_JWK["k"]},
    "unknown type": {**OCT_JWK, "kty": "QR"},
    "nothing": {},
    "public key": {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    "size": {"kty": "oct", "k": "AA"},
    "not base64": {"kty": "oct", "k": "***"},
    "uses that are not a list": {**OCT_JWK, "key_ops": "sign"},
    "type of the HSM": {**OCT_JWK, "kty": "oct-HSM"},
}
BAD_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "use of another type": {"operations": ["encrypt"]},
    "use that is not text": {"operations": [5]},
    **BAD_ATTRIBUTES,
}
#: What keeps a ciphertext from opening.
BAD_OPENINGS: Final[dict[str, dict[str, Any]]] = {
    "another nonce": {"nonce": bytes(12)},
    "a nonce that is too short": {"nonce": b"n"},
    "another tag": {"tag": bytes(16)},
    "no tag": {"tag": None},
    "other data": {"associated_data": b"without"},
    "another ciphertext": {"ciphertext": b"other"},
}


def of_secrets(made: Prepared) -> Named:
    """Yields what the rules of secrets say."""
    yield "disabled", Scenario(Ask("SecretGet", "off"), 403, "SecretDisabled")
    yield "expired", Scenario(Ask("SecretGet", "late"), 403, "SecretExpired")
    yield "expired, where it is told alone", Scenario(Ask("SecretGet", "late"), vault="kept")
    yield "not yet valid", Scenario(Ask("SecretGet", "early"))
    for name in ("off", "late", "early"):
        yield name, Scenario(Ask("SecretUpdate", name, given={"enabled": True}))
        yield name, Scenario(Ask("SecretBackup", name))
        yield name, Scenario(Ask("SecretDelete", name))
    value = {"value": "v"}
    for what, given in BAD_SECRETS.items():
        # The name is taken by what is deleted, which is refused later.
        yield what, Scenario(Ask("SecretSet", "gone", given=given), 400)
    yield "longest value", Scenario(Ask("SecretSet", "new", given={"value": "ä" * 12800}))
    yield "disabled", Scenario(Ask("SecretSet", "new", given={**value, "enabled": False}))
    yield "no tags", Scenario(Ask("SecretUpdate", "plain", given={"tags": {}}))
    yield "nothing", Scenario(Ask("SecretUpdate", "plain"))


def of_keys(made: Prepared) -> Named:
    """Yields what the rules of keys say of keys themselves."""
    for what, given in BAD_KEYS.items():
        inner = "KeyTypeNotSupported" if given["kty"] in {"QR", "RSA-HSM", "oct-HSM"} else None
        yield what, Scenario(Ask("KeyCreate", "gone", given=given), 400, inner)
    in_hsm = Ask("KeyCreate", "new", given={"kty": "RSA-HSM"})
    yield "type of the HSM", Scenario(in_hsm, 400, "KeyTypeNotSupported")
    for what, given in GOOD_KEYS.items():
        uses = {"key_ops": ["sign", "verify"]} if what == "no uses" else {}
        yield what, Scenario(Ask("KeyCreate", "new", given=given), shows=uses)
    for what, jwk in BAD_JWKS.items():
        inner = "KeyTypeNotSupported" if "QR" in jwk.values() else None
        inner = "KeyTypeNotSupported" if "HSM" in what else inner
        yield what, Scenario(Ask("KeyImport", "new", given={"jwk": jwk}), 400, inner)
    given = {"jwk": OCT_JWK, "hsm": True}
    yield (
        "into the HSM",
        Scenario(Ask("KeyImport", "new", given=given), 400, "KeyTypeNotSupported"),
    )
    given = {"jwk": OCT_JWK, "tags": MANY_TAGS}
    yield "too many tags", Scenario(Ask("KeyImport", "new", given=given), 400)
    given = {"jwk": {**OCT_JWK, "key_ops": []}}
    yield "no uses", Scenario(Ask("KeyImport", "new", given=given))
    for name in ("rsa", "off", "late", "unused"):
        yield name, Scenario(Ask("KeyRotate", name))
        yield name, Scenario(Ask("KeyGet", name))
        yield name, Scenario(Ask("KeyBackup", name))
    for what, given in BAD_CHANGES.items():
        yield what, Scenario(Ask("KeyUpdate", "plain", given=given), 400)
    ask = Ask("KeyUpdate", "plain", given={"operations": []})
    yield "no uses", Scenario(ask, shows={"key_ops": []})
    for count, status in ((1, 200), (0, 400), (129, 400), ("8", 400), (2.5, 400)):
        ask = Ask("RandomBytesGet", given={"count": count})
        yield str(count), Scenario(ask, status)
    for what, ask, status, inner in (
        ("disabled", Ask(KEK, "off"), 403, "KeyDisabled"),
        ("expired", Ask(KEK, "late"), 403, "KeyExpired"),
        ("not for this", Ask(KEK, "unused"), 403, "KeyOperationForbidden"),
        ("RSA", Ask(KEK, "rsa"), 400, None),
    ):
        yield (
            what,
            Scenario(ask, status, inner, faces=(LIBRARY, COMMAND_LINE)),
        )


def of_uses(made: Prepared) -> Named:
    """Yields what the rules say of the uses of keys."""
    asks = good(made)
    for verb, use in USES.items():
        ask = asks[verb]._replace(version="")
        for name, inner in (("off", "KeyDisabled"), ("unused", "KeyOperationForbidden")):
            refused = Scenario(ask._replace(name=name), 403, inner, record={"Algorithm": None})
            yield f"{name}, unknown algorithm", _with(refused, algorithm="XX")
        for name, inner in (("late", "KeyExpired"), ("early", "KeyNotYetValid")):
            if use in {"encrypt", "sign", "wrapKey"}:
                yield name, Scenario(ask._replace(name=name), 403, inner)
        unknown = Scenario(_given(ask, algorithm="XX"), 400, record={"Algorithm": None})
        yield "unknown algorithm", unknown
        yield (
            "unknown algorithm, missing",
            Scenario(_given(ask._replace(name="missing"), algorithm="XX"), 404),
        )
        other = "A256KW" if use in {"encrypt", "decrypt"} else "A256GCM"
        yield (
            "algorithm of another use",
            Scenario(_given(ask, algorithm=other), 400, record={"Algorithm": other}),
        )
        yield (
            "algorithm that is not text, missing",
            Scenario(_given(ask._replace(name="missing"), algorithm=5), 400),
        )
    unwrapping = {"algorithm": "A256KW", "wrapped": made.made["Late wrapped"]}
    yield "late", Scenario(Ask("KeyDecrypt", "late", given=_opening(made.made["Late gcm"])))
    yield "late", Scenario(Ask("KeyUnwrap", "late", given=unwrapping))
    rsa = {"algorithm": "RSA-OAEP-256", "ciphertext": made.made["rsa"]}
    opening = _opening(made.made["Oct gcm"])
    for what, wrong in BAD_OPENINGS.items():
        given = {name: value for name, value in (opening | wrong).items() if value is not None}
        yield what, Scenario(Ask("KeyDecrypt", "oct", given=given), 400)
    for what, verb, name, given in (
        ("short digest", "KeySign", "plain", _signing("ES256", b"short")),
        ("RSA, short digest", "KeySign", "rsa", _signing("PS256", b"short")),
        ("RSA with ES256", "KeySign", "rsa", _signing("ES256")),
        ("what does not open", "KeyUnwrap", "oct", {**unwrapping, "wrapped": bytes(40)}),
        ("RSA, what does not open", "KeyDecrypt", "rsa", {**rsa, "ciphertext": bytes(256)}),
        ("nonce of the caller", "KeyEncrypt", "oct", _encrypting("A256GCM", nonce=bytes(12))),
        ("CBC without a nonce", "KeyEncrypt", "oct", _encrypting("A256CBCPAD")),
        ("RSA, too much", "KeyEncrypt", "rsa", _encrypting("RSA-OAEP-256", bytes(300))),
        ("odd length", "KeyWrap", "oct", {"algorithm": "A256KW", "key": b"odd"}),
    ):
        record = {"Algorithm": given["algorithm"]}
        yield what, Scenario(Ask(verb, name, given=given), 400, record=record)
    verifying = {"digest": DIGEST, "signature": bytes(64)}
    signed = {"digest": DIGEST, "signature": made.made["rsa signature"]}
    for what, verb, name, given in (
        ("RSA", "KeySign", "rsa", _signing("PS256")),
        ("RSA", "KeyDecrypt", "rsa", rsa),
        ("RSA", "KeyWrap", "rsa", {"algorithm": "RSA-OAEP", "key": DATA_KEY}),
        ("CBC", "KeyEncrypt", "oct", _encrypting("A256CBCPAD", nonce=bytes(16))),
        ("another signature", "KeyVerify", "plain", {"algorithm": "ES256", **verifying}),
        ("RSA", "KeyVerify", "rsa", {"algorithm": "PS256", **signed}),
    ):
        record = {"Algorithm": given["algorithm"]}
        yield what, Scenario(Ask(verb, name, given=given), record=record)


def of_lives(made: Prepared) -> Named:
    """Yields what the rules say that every kind shares: restore, purge, retention, firewall."""
    for kind, noun in (("secrets", "Secret"), ("keys", "Key")):
        other = "keys" if kind == "secrets" else "secrets"
        blob = made.made[f"{kind} backup"]
        for what, wrong in {
            "changed": bytes([*blob[:-1], blob[-1] ^ 1]),
            "nothing": b"",
            "of another kind": made.made[f"{other} backup"],
        }.items():
            ask = Ask(f"{noun}Restore", given={"blob": wrong})
            yield what, Scenario(ask, 400)
        ask = Ask(f"{noun}Restore", given={"blob": blob})
        yield "of another vault", Scenario(ask, 400, vault="kept")
        ask = Ask(f"{noun}Restore", given={"blob": made.made[f"{kind} backup of what is there"]})
        yield "over an object", Scenario(ask, 409)
        ask = Ask(f"{noun}Restore", given={"blob": made.made[f"{kind} backup of what is deleted"]})
        yield (
            "over what is deleted",
            Scenario(ask, 409, "ObjectIsDeletedButRecoverable"),
        )
        purge = Ask(f"{noun}Purge", "gone")
        protected = Scenario(purge, 403, "ForbiddenByPolicy", vault="kept")
        yield "protected", protected
        yield (
            "protected, missing",
            protected._replace(ask=purge._replace(name="missing")),
        )
        yield (
            "protected, not permitted",
            protected._replace(inner="AccessDenied", stranger=True),
        )
        yield "protected", Scenario(Ask(f"{noun}Delete", "plain"), vault="kept")
        walled = Scenario(
            Ask(f"{noun}Delete", "plain"),
            vault="walled",
            address="10.1.2.3",
            faces=(HTTPS, LIBRARY),
        )
        week = {"deleted": NOW, "purge": NOW + 7 * DAY, "recovery": RECOVERY}
        yield "from inside, for seven days", walled._replace(shows=week)
        outside = walled._replace(
            status=403, inner="ForbiddenByFirewall", address="192.0.2.1", unread=True
        )
        yield "from outside", outside
        yield (
            "from outside, malformed name, not permitted",
            outside._replace(ask=Ask(f"{noun}Delete", "un_named"), stranger=True),
        )


def of_requests(made: Prepared) -> Named:
    """Yields what becomes of requests that name no operation which is offered, or ask wrongly."""
    release, certificate = "/keys/plain/release", "/certificates/plain/"
    for what, status, method, path, query in (
        ("no such path", 404, "GET", "/nothing", ""),
        ("no such method", 405, "BREW", "/secrets/plain/", ""),
        ("not of this path", 405, "PUT", "/keys/plain/create", ""),
        ("not offered", 404, "POST", release, ""),
        ("not offered, of a kind that is not", 404, "GET", certificate, ""),
        ("page of nothing", 400, "GET", "/secrets", "&maxresults=0"),
        ("page that is too large", 400, "GET", "/secrets", "&maxresults=26"),
        ("continuation of another list", 400, "GET", "/secrets", "&$skiptoken=AAAA"),
        ("format of certificates", 400, "GET", "/secrets/plain/", "&outContentType=text/plain"),
    ):
        faces = (HTTPS, COMMAND_LINE)
        asked = Scenario(Ask(""), status, faces=faces, request=(method, path, query))
        yield what, asked
        if what in {"not offered", "format of certificates"}:
            denied = asked._replace(status=403, inner="AccessDenied", stranger=True)
            yield f"{what}, not permitted", denied
    small = Scenario(
        Ask("SecretList"), faces=(HTTPS, COMMAND_LINE), request=("GET", "/secrets", "&maxresults=9")
    )
    yield "small pages", small


def _with(scenario: Scenario, **given: Any) -> Scenario:
    return scenario._replace(ask=_given(scenario.ask, **given))


def _given(ask: Ask, **given: Any) -> Ask:
    return ask._replace(given={**ask.given, **given})


def _signing(algorithm: str, digest: bytes = DIGEST) -> dict[str, Any]:
    return {"algorithm": algorithm, "digest": digest}


def _encrypting(algorithm: str, plaintext: bytes = b"plain", **more: bytes) -> dict[str, Any]:
    return {"algorithm": algorithm, "plaintext": plaintext, **more}


def _opening(encrypted: Any) -> dict[str, Any]:
    return {
        "algorithm": "A256GCM",
        "ciphertext": encrypted.ciphertext,
        "nonce": encrypted.nonce,
        "tag": encrypted.tag,
        "associated_data": b"with it",
    }


def every_rule(made: Prepared) -> Iterator[tuple[str, Scenario]]:
    """Yields all of it."""
    for scenarios in (of_secrets, of_keys, of_uses, of_lives, of_requests):
        for name, scenario in scenarios(made):
            yield f"{scenario.ask.verb}, {name}", scenario
