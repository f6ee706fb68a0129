"""The operations of the data plane as the REST API shows them: bodies in, answers out.

A face only translates: it reads the arguments of an operation from a request, and writes the answer
from its result.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vaultcore._core import Context
from vaultcore.encoding import decode_base64url, encode_base64url
from vaultcore.errors import BadParameterError, DecryptionError
from vaultcore.objects.attributes import Page, Version
from vaultcore.objects.kinds import KINDS
from vaultcore.operations.action import NOTHING
from vaultcore.operations.keys import (
    CreateKey,
    Decrypt,
    Encrypt,
    ImportKey,
    RandomBytes,
    Sign,
    UpdateKey,
    Verify,
    Wrap,
)
from vaultcore.operations.results import Encrypted, KeyResult, Revealed, Stored
from vaultcore.operations.secrets import SetSecret, UpdateSecret
from vaultcore.operations.shared import ListPage, Restore
from vaultcore.service.body import LARGE_BODY, SMALL_BODY
from vaultcore.service.keyvault.bodies import (
    BlobBody,
    KeyCreateBody,
    KeyImportBody,
    KeyOperationBody,
    KeyUpdateBody,
    KeyVerifyBody,
    RandomBody,
    SecretSetBody,
    SecretUpdateBody,
    reader,
)
from vaultcore.service.keyvault.bundles import Bundles, at_least, encode, split_around_value

if TYPE_CHECKING:
    from vaultcore._core import Operation
    from vaultcore.operations.request import Request


class Face(NamedTuple):
    """The request and the answer of an operation.

    Attributes:
        render: called with the request, the prefix of identifiers, and the result of the
            operation; returns the body of the answer.
        decode: called with the request and its body; returns the arguments of the operation.
        limit: the largest body, in bytes; 0 if there is none to read.
    """

    render: Callable[["Request", str, Any], bytes]
    decode: Callable[["Request", bytes], Any] | None = None
    limit: int = 0


def _bundles(request: "Request", base: str) -> Bundles:
    state = request.state
    return Bundles(base, state.recovery_level, state.retention_days, request.asked.api_version)


# answers that several operations share


def _render_bundle(request: "Request", base: str, found: Version) -> bytes:
    return encode(_bundles(request, base).bundle(request.asked.kind, found))


def _render_nothing(_request: "Request", _base: str, _result: Any) -> bytes:
    return b""


def _render_blob(_request: "Request", _base: str, blob: bytes) -> bytes:
    return encode({"value": encode_base64url(blob)})


def _render_key_result(request: "Request", base: str, result: KeyResult) -> bytes:
    key = result.key
    kid = _bundles(request, base).identifier("keys", key.name, key.version)
    return encode({"kid": kid, "value": encode_base64url(result.value)})


# secrets

_read_secret_set = reader(SecretSetBody)
_read_secret_update = reader(SecretUpdateBody)


def _decode_get_secret(request: "Request", _body: bytes) -> Any:
    wanted = request.asked.extra.get("outContentType")
    if wanted:
        _refuse_conversion(wanted)
    return NOTHING


def _render_secret(request: "Request", base: str, revealed: Revealed) -> bytes:
    """The hot path: only the value is encoded; the rest of the answer is cached."""
    found = revealed.secret
    place = (base, at_least(request.asked.api_version, "7.1"))
    parts = found.bundles.get(place)
    if parts is None:
        version = Version(found.name, found.version, found.metadata)
        parts = split_around_value(_bundles(request, base).bundle("secrets", version))
        found.bundles[place] = parts
    return parts[0] + encode(revealed.value.decode()) + parts[1]


def _render_set_secret(request: "Request", base: str, stored: Stored) -> bytes:
    bundle = _bundles(request, base).bundle("secrets", stored.version)
    before, after = split_around_value(bundle)
    return before + encode(stored.value) + after


def _decode_set_secret(_request: "Request", body: bytes) -> SetSecret:
    read: SecretSetBody = _read_secret_set(body)
    return SetSecret(read.value, read.content_type, read.attributes, read.tags)


def _decode_update_secret(_request: "Request", body: bytes) -> UpdateSecret:
    read: SecretUpdateBody = _read_secret_update(body or b"{}")
    return UpdateSecret(read.content_type, read.attributes, read.tags)


def _refuse_conversion(wanted: str) -> None:
    if wanted not in {"application/x-pkcs12", "application/x-pem-file"}:
        raise BadParameterError("Property outContentType is not a supported format")
    raise BadParameterError("Property outContentType applies only to the secrets of certificates")


# keys

_read_key_create = reader(KeyCreateBody)
_read_key_import = reader(KeyImportBody)
_read_key_update = reader(KeyUpdateBody)
_read_key_operation = reader(KeyOperationBody)
_read_key_verify = reader(KeyVerifyBody)
_read_random = reader(RandomBody)


def _decode_create_key(_request: "Request", body: bytes) -> CreateKey:
    read: KeyCreateBody = _read_key_create(body)
    _refuse_release(read.release_policy)
    if read.public_exponent not in {None, 0, 65537}:
        raise BadParameterError("Property public_exponent is not supported; leave it out")
    return CreateKey(read.kty, read.key_size, read.crv, read.key_ops, read.attributes, read.tags)


def _decode_import_key(_request: "Request", body: bytes) -> ImportKey:
    read: KeyImportBody = _read_key_import(body)
    _refuse_release(read.release_policy)
    return ImportKey(read.key, bool(read.hsm), read.attributes, read.tags)


def _decode_update_key(_request: "Request", body: bytes) -> UpdateKey:
    read: KeyUpdateBody = _read_key_update(body or b"{}")
    _refuse_release(read.release_policy)
    return UpdateKey(read.key_ops, read.attributes, read.tags)


def _decode_encrypt(_request: "Request", body: bytes) -> Encrypt:
    read: KeyOperationBody = _read_key_operation(body)
    value = decode_base64url(read.value, "value")
    return Encrypt(read.alg, value, _bytes(read.iv, "iv"), _bytes(read.aad, "aad"))


def _render_encrypted(request: "Request", base: str, encrypted: Encrypted) -> bytes:
    key = encrypted.key
    answer = {
        "kid": _bundles(request, base).identifier("keys", key.name, key.version),
        "value": encode_base64url(encrypted.ciphertext),
    }
    if encrypted.nonce is not None:
        answer["iv"] = encode_base64url(encrypted.nonce)
    if encrypted.tag is not None:
        answer["tag"] = encode_base64url(encrypted.tag)
        if encrypted.associated_data is not None:
            answer["aad"] = encode_base64url(encrypted.associated_data)
    return encode(answer)


def _decode_decrypt(_request: "Request", body: bytes) -> Decrypt:
    read: KeyOperationBody = _read_key_operation(body)
    return Decrypt(
        read.alg,
        decode_base64url(read.value, "value"),
        _bytes(read.iv, "iv"),
        _bytes(read.tag, "tag"),
        _bytes(read.aad, "aad"),
    )


def _decode_wrap(_request: "Request", body: bytes) -> Wrap:
    read: KeyOperationBody = _read_key_operation(body)
    return Wrap(read.alg, decode_base64url(read.value, "value"))


def _decode_sign(_request: "Request", body: bytes) -> Sign:
    read: KeyOperationBody = _read_key_operation(body)
    return Sign(read.alg, decode_base64url(read.value, "value"))


def _decode_verify(_request: "Request", body: bytes) -> Verify:
    read: KeyVerifyBody = _read_key_verify(body)
    return Verify(
        read.alg, decode_base64url(read.digest, "digest"), decode_base64url(read.value, "value")
    )


def _render_verified(_request: "Request", _base: str, valid: bool) -> bytes:  # noqa: FBT001
    return b'{"value":true}' if valid else b'{"value":false}'


def _decode_random(_request: "Request", body: bytes) -> RandomBytes:
    read: RandomBody = _read_random(body)
    return RandomBytes(read.count)


def _bytes(text: str | None, member: str) -> bytes | None:
    return None if text is None else decode_base64url(text, member)


def _refuse_release(policy: dict[str, Any] | None) -> None:
    if policy is not None:
        raise BadParameterError(
            "Property release_policy is not supported: this vault does not release keys"
        )


# what every kind has

_read_blob = reader(BlobBody)


def _decode_restore(_request: "Request", body: bytes) -> Restore:
    read: BlobBody = _read_blob(body)
    return Restore(decode_base64url(read.value, "value"))


def _decode_page(request: "Request", _body: bytes) -> ListPage:
    """Opens the continuation of a list: it was sealed for this caller and this list."""
    asked = request.asked
    sealed = asked.skip_token
    if not sealed:
        return ListPage("", asked.max_results)
    try:
        blob = decode_base64url(sealed, "$skiptoken")
        marker = request.state.kek.open(blob, context=_page_context(request)).decode()
    except DecryptionError:
        raise BadParameterError(
            "Property $skiptoken is not one that this list gave to this caller; start the list "
            "again"
        ) from None
    return ListPage(marker, asked.max_results)


def _render_page(request: "Request", base: str, page: Page) -> bytes:
    return _encode_page(request, base, page, versioned=False)


def _render_versions(request: "Request", base: str, page: Page) -> bytes:
    return _encode_page(request, base, page, versioned=True)


def _encode_page(request: "Request", base: str, page: Page, *, versioned: bool) -> bytes:
    bundles, kind = _bundles(request, base), request.asked.kind
    return encode(
        {
            "value": [bundles.item(kind, found, versioned=versioned) for found in page.items],
            "nextLink": None if page.marker is None else _next_link(request, base, page.marker),
        }
    )


def _next_link(request: "Request", base: str, marker: str) -> str:
    """Returns the address of the next page; its continuation is sealed for caller and list."""
    asked = request.asked
    sealed = encode_base64url(
        request.state.kek.seal(marker.encode(), context=_page_context(request))
    )
    link = f"{base}/{_list_path(asked)}?api-version={asked.api_version}&$skiptoken={sealed}"
    return f"{link}&maxresults={asked.max_results}" if asked.max_results_given else link


def _list_path(asked: "Operation") -> str:
    if asked.name.endswith("ListVersions"):
        return f"{asked.kind}/{asked.object_name}/versions"
    return f"deleted{asked.kind}" if asked.name.endswith("Deleted") else asked.kind


def _page_context(request: "Request") -> Context:
    asked, principal = request.asked, request.principal
    return Context(
        {
            "purpose": "page",
            "vault": request.state.id,
            "operation": asked.name,
            "name": asked.canonical_name,
            "caller": "" if principal is None else principal.object_id,
        }
    )


def _shared_faces(noun: str) -> dict[str, Face]:
    return {
        f"{noun}Delete": Face(_render_bundle),
        f"{noun}Recover": Face(_render_bundle),
        f"{noun}GetDeleted": Face(_render_bundle),
        f"{noun}Purge": Face(_render_nothing),
        f"{noun}Backup": Face(_render_blob),
        f"{noun}Restore": Face(_render_bundle, _decode_restore, LARGE_BODY),
        f"{noun}List": Face(_render_page, _decode_page),
        f"{noun}ListDeleted": Face(_render_page, _decode_page),
        f"{noun}ListVersions": Face(_render_versions, _decode_page),
    }


#: Every operation that the REST API offers, by its name in the core and the audit log.
FACES: Final[dict[str, Face]] = {
    **{name: face for kind in KINDS.values() for name, face in _shared_faces(kind.noun).items()},
    "SecretGet": Face(_render_secret, _decode_get_secret),
    "SecretSet": Face(_render_set_secret, _decode_set_secret, SMALL_BODY),
    "SecretUpdate": Face(_render_bundle, _decode_update_secret, SMALL_BODY),
    "KeyCreate": Face(_render_bundle, _decode_create_key, SMALL_BODY),
    "KeyImport": Face(_render_bundle, _decode_import_key, SMALL_BODY),
    "KeyRotate": Face(_render_bundle),
    "KeyGet": Face(_render_bundle),
    "KeyUpdate": Face(_render_bundle, _decode_update_key, SMALL_BODY),
    "KeyEncrypt": Face(_render_encrypted, _decode_encrypt, SMALL_BODY),
    "KeyDecrypt": Face(_render_key_result, _decode_decrypt, SMALL_BODY),
    "KeyWrap": Face(_render_key_result, _decode_wrap, SMALL_BODY),
    "KeyUnwrap": Face(_render_key_result, _decode_wrap, SMALL_BODY),
    "KeySign": Face(_render_key_result, _decode_sign, SMALL_BODY),
    "KeyVerify": Face(_render_verified, _decode_verify, SMALL_BODY),
    "RandomBytesGet": Face(_render_blob, _decode_random, SMALL_BODY),
}
