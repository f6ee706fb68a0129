import base64
import hashlib

import pytest

from vaultcore.errors import AlgorithmError, KeyFormatError
from vaultcore.protectors.pkcs11.algorithms import (
    CURVES,
    SIGNATURES,
    check_decryption,
    decode,
    signature,
    thumbprint,
)

#: The example of RFC 7638, section 3.1.
EXAMPLE = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
    "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvzq"
    "Y368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM"
    "4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    assert thumbprint(EXAMPLE) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    ec = {"kty": "EC", "y": "eQ", "x": "eA", "crv": "P-256", "use": "sig"}
    text = b'{"crv":"P-256","kty":"EC","x":"eA","y":"eQ"}'
    expected = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    assert thumbprint(ec) == expected


@pytest.mark.parametrize("absent", ["e", "n", "kty"])
def test_a_key_that_lacks_a_member_has_no_thumbprint(absent: str) -> None:
    with pytest.raises(KeyFormatError, match="lacks a member"):
        thumbprint({name: value for name, value in EXAMPLE.items() if name != absent})


@pytest.mark.parametrize("algorithm", SIGNATURES)
def test_a_digest_fits_its_algorithm(algorithm: str) -> None:
    size = SIGNATURES[algorithm].digest_size
    assert signature(algorithm, bytes(size)) is SIGNATURES[algorithm]
    if algorithm == "RSNULL":  # the block of the caller, of any size
        signature(algorithm, bytes(7))
        return
    for other in (size - 1, size + 1, 0):
        with pytest.raises(AlgorithmError, match=f"signs a digest of {size} bytes"):
            signature(algorithm, bytes(other))


@pytest.mark.parametrize("algorithm", ["", "none", "HS256", "ES256 ", "rs256", "x" * 1000])
def test_other_signature_algorithms_are_refused(algorithm: str) -> None:
    with pytest.raises(AlgorithmError) as refused:
        signature(algorithm, bytes(32))
    assert len(str(refused.value)) < 120


def test_every_digest_info_is_that_of_its_hash() -> None:
    for algorithm, known in SIGNATURES.items():
        if known.padding == "pkcs1":
            assert known.digest_info[1] == len(known.digest_info) - 2 + known.digest_size
            assert known.digest_info[-1] == known.digest_size
        else:
            assert known.digest_info == b"", algorithm


def test_every_curve_has_its_algorithm() -> None:
    assert {curve.algorithm for curve in CURVES.values()} == {
        name for name, known in SIGNATURES.items() if known.kty == "EC"
    }


def test_decryption_with_oaep_alone() -> None:
    check_decryption("RSA-OAEP")
    check_decryption("RSA-OAEP-256")
    with pytest.raises(AlgorithmError, match="RSA1_5 decryption is refused"):
        check_decryption("RSA1_5")
    for algorithm in ("", "rsa-oaep", "A256GCM"):
        with pytest.raises(AlgorithmError, match="is not a decryption algorithm"):
            check_decryption(algorithm)


def test_a_member_is_base64url_or_refused() -> None:
    assert decode("_-8") == b"\xff\xef"
    assert decode("") == b""
    for text in ("!!", "A", "é"):
        with pytest.raises(KeyFormatError, match="not base64url"):
            decode(text)
