"""What both Python rounds share: the steps' lines, refusals, and local checks of signatures."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sys
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.keys.crypto import SignatureAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from azure.keyvault.keys import JsonWebKey, KeyVaultKey

DIGEST = hashlib.sha256(b"a message").digest()
OTHER_DIGEST = hashlib.sha256(b"another message").digest()
MADE = 30
PAGE = 25


class Step:
    """One step of a round: a line when it held; the first that does not ends the program."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(f"FAILED {self._name}: {type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(1)
        print(f"ok {self._name}", flush=True)


class Refused:
    """Expects that the service refuses what is inside with this status, code and inner code."""

    def __init__(self, status: int, code: str, inner: str | None = None) -> None:
        self._wanted = (status, code, inner)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            raise AssertionError(f"expected a refusal {self._wanted}")
        if not isinstance(error, HttpResponseError) or error.error is None:
            return False
        inner = error.error.innererror
        seen = (error.status_code, error.error.code, inner.get("code") if inner else None)
        if seen != self._wanted:
            raise AssertionError(f"expected a refusal {self._wanted}, got {seen}")
        return True


def vault_url() -> str:
    url = os.environ.get("VAULT_URL")
    if not url:
        sys.exit("VAULT_URL is not set: take the environment from `vaultcore env`")
    return url


def new_prefix(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(4)}"


def page_names(prefix: str) -> list[str]:
    return [f"{prefix}-page-{n:02}" for n in range(MADE)]


def check_pages(pages: Iterable[list[Any]], prefix: str) -> None:
    seen: list[str] = []
    count = 0
    for page in pages:
        count += 1
        assert len(page) <= PAGE, f"expected at most {PAGE} on a page, got {len(page)}"
        assert not any(item.version for item in page), "identifiers of a list have no version"
        seen += [item.name for item in page if item.name.startswith(f"{prefix}-page-")]
    assert sorted(seen) == page_names(prefix)
    assert count >= 2, f"expected two pages or more, got {count}"


def verify_requests(
    key: KeyVaultKey, algorithm: SignatureAlgorithm, signature: bytes
) -> list[tuple[bool, HttpRequest]]:
    """What the SDK would send if it did not verify by itself, and the answers to expect."""
    return [
        (
            valid,
            HttpRequest(
                "POST",
                f"{key.id}/verify?api-version=7.4",
                json={"alg": algorithm.value, "digest": _text(digest), "value": _text(signature)},
            ),
        )
        for valid, digest in ((True, DIGEST), (False, OTHER_DIGEST))
    ]


def check_signature(key: JsonWebKey, algorithm: SignatureAlgorithm, signature: bytes) -> None:
    """Verify with the public key and with `cryptography`, far from the service and its SDK."""
    hashed = utils.Prehashed(hashes.SHA256())
    if algorithm == SignatureAlgorithm.es256:
        assert len(signature) == 64, f"expected 64 bytes r||s, got {len(signature)}"
        x, y = (int.from_bytes(vars(key)[member]) for member in ("x", "y"))
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(
            utils.encode_dss_signature(r, s), DIGEST, ec.ECDSA(hashed)
        )
        return
    pad: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm == SignatureAlgorithm.ps256:
        pad = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
    rsa_public(key).verify(signature, DIGEST, pad, hashed)


def encrypt_here(key: JsonWebKey, plaintext: bytes) -> bytes:
    sha = hashes.SHA256()
    return rsa_public(key).encrypt(plaintext, padding.OAEP(padding.MGF1(sha), sha, None))


def rsa_public(key: JsonWebKey) -> rsa.RSAPublicKey:
    # The SDK sets the members of a key by name and declares none of them.
    e, n = (int.from_bytes(vars(key)[member]) for member in ("e", "n"))
    return rsa.RSAPublicNumbers(e, n).public_key()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
