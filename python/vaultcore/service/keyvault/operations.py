"""What each operation of the contract does: from an admitted request to its answer.

A handler reads the body, calls the rules of the kind, and renders. It has one of three shapes:
a read answers at once; a write returns the work that the store shall do and how to render its
result; anything slow (private operations of RSA, the token, key generation) says where it belongs,
so that the plane takes it off the event loop.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vaultcore._core import Context, object_name
from vaultcore.encoding import decode_base64url, encode_base64url
from vaultcore.errors import BadParameterError, DecryptionError
from vaultcore.objects.attributes import Attributes, Page, Version
from vaultcore.objects.key_use import UsableKey, refusals
from vaultcore.objects.keys import ALGORITHMS, HSM, KeyParameters, random_bytes
from vaultcore.objects.lifecycle import Lifecycle, Work
from vaultcore.service.keyvault.pools import Where
from vaultcore.service.keyvault.wire import (
    BlobBody,
    Bundles,
    KeyCreateBody,
    KeyImportBody,
    KeyOperationBody,
    KeyUpdateBody,
    KeyVerifyBody,
    RandomBody,
    SecretSetBody,
    SecretUpdateBody,
    at_least,
    encode,
    reader,
    split_around_value,
)

if TYPE_CHECKING:
    from vaultcore._core import Operation, Principal
    from vaultcore.objects.vault import VaultState

SMALL: Final = 256 * 1024  # bytes; six times a secret of 25 KB, escaped as badly as can be
LARGE: Final = 32 * 1024 * 1024  # bytes; a backup of 500 versions
_NOTHING: Final = Attributes()


class Request:
    """An admitted request.

    Attributes:
        vault: the vault's state.
        operation: what is asked.
        principal: who asks.
        base: what identifiers begin with.
        body: the body.
        extra: what the audit record shall say besides; a handler may add to it.
        used: the key that was used.
    """

    __slots__ = ("_decoded", "base", "body", "extra", "operation", "principal", "used", "vault")

    def __init__(
        self, vault: "VaultState", operation: "Operation", principal: "Principal", base: str
    ) -> None:
        self.vault = vault
        self.operation = operation
        self.principal = principal
        self.base = base
        self.body = b""
        self.extra: dict[str, str | int | bool] | None = None
        self.used: UsableKey | None = None
        self._decoded: Any = None

    def decoded(self, read: Callable[[bytes], Any]) -> Any:
        """Returns the body as a reader makes it, read once however often it is asked for."""
        if self._decoded is None:
            self._decoded = read(self.body)
        return self._decoded

    @property
    def bundles(self) -> Bundles:
        """What renders for this request."""
        vault = self.vault
        return Bundles(
            self.base, vault.recovery_level, vault.retention_days, self.operation.api_version
        )

    @property
    def rules(self) -> Lifecycle:
        """The rules of the kind that is asked for."""
        if self.operation.kind == "secrets":
            return self.vault.secret_rules
        return self.vault.key_rules

    def key(self) -> UsableKey:
        """Returns the key that is asked for, ready for use."""
        operation = self.operation
        return self.vault.key_rules.load(operation.object_key, operation.version)

    def render(self, found: Version) -> bytes:
        """Returns the bundle of what was found."""
        bundles = self.bundles
        return encode(
            bundles.secret(found) if self.operation.kind == "secrets" else bundles.key(found)
        )


class Write(NamedTuple):
    """A write that the plane hands to the store.

    Attributes:
        work: what the store shall do.
        render: makes the answer of its result.
        settle: returns what of it is left to do in the token, after its result; None for nothing.
    """

    work: Work[Any]
    render: Callable[[Any], bytes]
    settle: Callable[[Any], Callable[[], None] | None] | None = None


class Handler(NamedTuple):
    """How an operation is handled.

    Attributes:
        act: returns the answer's body, or the write that makes it.
        limit: the largest body, in bytes; 0 when there is none to read.
        where: where this request is acted on, asked after the body was read; None for the loop.
        changes: whether it may make a key in the token.
        status: of the answer.
    """

    act: Callable[[Request], bytes | Write]
    limit: int = 0
    where: Callable[[Request], Where] | None = None
    changes: bool = False
    status: int = 200


# secrets

_read_secret_set = reader(SecretSetBody)
_read_secret_update = reader(SecretUpdateBody)
_read_blob = reader(BlobBody)


def get_secret(request: Request) -> bytes:
    """GetSecret: the hot path, which only opens and encodes the value."""
    operation, vault = request.operation, request.vault
    found = vault.secret_rules.load(operation.object_key, operation.version)
    if operation.extra.get("outContentType"):
        _refuse_conversion(operation.extra["outContentType"])
    place = (request.base, at_least(operation.api_version, "7.1"))
    parts = found.bundles.get(place)
    if parts is None:
        version = Version(found.name, found.version, found.metadata)
        parts = split_around_value(request.bundles.secret(version))
        found.bundles[place] = parts
    value = vault.secret_rules.reveal(found)
    return parts[0] + encode(value.decode()) + parts[1]


def set_secret(request: Request) -> Write:
    """SetSecret."""
    body: SecretSetBody = _read_secret_set(request.body)
    operation = request.operation
    work = request.vault.secret_rules.set(
        operation.object_name,
        operation.object_key,
        body.value,
        content_type=body.content_type,
        attributes=body.attributes,
        tags=body.tags,
    )

    def render(found: Version) -> bytes:
        before, after = split_around_value(request.bundles.secret(found))
        return before + encode(body.value) + after

    return Write(work, render)


def update_secret(request: Request) -> Write:
    """UpdateSecret; its answer has no value."""
    body: SecretUpdateBody = _read_secret_update(request.body or b"{}")
    operation = request.operation
    work = request.vault.secret_rules.update(
        operation.object_key,
        operation.version,
        content_type=body.content_type,
        attributes=body.attributes,
        tags=body.tags,
    )
    return Write(work, request.render)


# keys

_read_key_create = reader(KeyCreateBody)
_read_key_import = reader(KeyImportBody)
_read_key_update = reader(KeyUpdateBody)
_read_key_operation = reader(KeyOperationBody)
_read_key_verify = reader(KeyVerifyBody)
_read_random = reader(RandomBody)


def create_key(request: Request) -> Write:
    """CreateKey."""
    body: KeyCreateBody = request.decoded(_read_key_create)
    _refuse_release(body.release_policy)
    operation = request.operation
    if body.public_exponent not in {None, 0, 65537}:
        raise BadParameterError("Property public_exponent is not supported; leave it out")
    work = request.vault.key_rules.create(
        operation.object_name,
        operation.object_key,
        KeyParameters(body.kty, body.key_size, body.crv, body.key_ops or None),
        attributes=body.attributes,
        tags=body.tags,
    )
    return Write(work, request.render)


def import_key(request: Request) -> Write:
    """ImportKey."""
    body: KeyImportBody = request.decoded(_read_key_import)
    _refuse_release(body.release_policy)
    operation = request.operation
    work = request.vault.key_rules.import_(
        operation.object_name,
        operation.object_key,
        body.key,
        hsm=bool(body.hsm),
        attributes=body.attributes,
        tags=body.tags,
    )
    return Write(work, request.render)


def rotate_key(request: Request) -> Write:
    """RotateKey."""
    return Write(request.vault.key_rules.rotate(request.operation.object_key), request.render)


def get_key(request: Request) -> bytes:
    """GetKey."""
    found = request.key()
    return request.render(Version(found.name, found.version, found.metadata))


def update_key(request: Request) -> Write:
    """UpdateKey."""
    body: KeyUpdateBody = _read_key_update(request.body or b"{}")
    _refuse_release(body.release_policy)
    operation = request.operation
    work = request.vault.key_rules.update(
        operation.object_key,
        operation.version,
        operations=body.key_ops,
        attributes=body.attributes,
        tags=body.tags,
    )
    return Write(work, request.render)


def purge(request: Request) -> Write:
    """PurgeDeletedSecret and PurgeDeletedKey: 204, with nothing in it."""
    operation = request.operation
    key_rules = request.vault.key_rules

    def settle(versions: Any) -> Callable[[], None] | None:
        held = key_rules.in_token(versions, operation.object_key)
        return functools.partial(key_rules.discard, held, operation.object_key) if held else None

    work = request.rules.purge(operation.object_key)
    return Write(work, lambda _: b"", settle if operation.kind == "keys" else None)


def encrypt(request: Request) -> bytes:
    """Encrypt: the vault makes the nonce of AES-GCM, the caller that of AES-CBC."""
    body, found = _operand(request, "encrypt")
    associated = _bytes(body.aad, "aad") or b""
    with refusals():
        ciphertext, nonce, tag = found.encrypt(
            body.alg, decode_base64url(body.value, "value"), _bytes(body.iv, "iv"), associated
        )
    answer = {
        "kid": request.bundles.kid(found.name, found.version),
        "value": encode_base64url(ciphertext),
    }
    if nonce is not None:
        answer["iv"] = encode_base64url(nonce)
    if tag is not None:
        answer["tag"] = encode_base64url(tag)
        if body.aad is not None:
            answer["aad"] = encode_base64url(associated)
    return encode(answer)


def decrypt(request: Request) -> bytes:
    """Decrypt."""
    body, found = _operand(request, "decrypt")
    with refusals():
        plaintext = found.decrypt(
            body.alg,
            decode_base64url(body.value, "value"),
            _bytes(body.iv, "iv"),
            _bytes(body.tag, "tag"),
            _bytes(body.aad, "aad") or b"",
        )
    return _result(request, found, plaintext)


def wrap(request: Request) -> bytes:
    """WrapKey."""
    body, found = _operand(request, "wrapKey")
    with refusals():
        return _result(request, found, found.wrap(body.alg, decode_base64url(body.value, "value")))


def unwrap(request: Request) -> bytes:
    """UnwrapKey."""
    body, found = _operand(request, "unwrapKey")
    with refusals():
        return _result(
            request, found, found.unwrap(body.alg, decode_base64url(body.value, "value"))
        )


def sign(request: Request) -> bytes:
    """Sign."""
    body, found = _operand(request, "sign")
    with refusals():
        return _result(request, found, found.sign(body.alg, decode_base64url(body.value, "value")))


def verify(request: Request) -> bytes:
    """Verify."""
    body: KeyVerifyBody = _read_key_verify(request.body)
    found = request.key()
    request.vault.key_rules.authorize_use(found, "verify")
    request.extra = {"Algorithm": _algorithm(body.alg)}
    with refusals():
        valid = found.verify(
            body.alg,
            decode_base64url(body.digest, "digest"),
            decode_base64url(body.value, "value"),
        )
    return b'{"value":true}' if valid else b'{"value":false}'


def confirm(request: Request) -> None:
    """Checks that the key that a request has used may still do what it has done.

    Raises:
        ForbiddenError: it was disabled or limited meanwhile.
        ObjectNotFoundError: it was deleted or purged meanwhile.
    """
    found, operation = request.used, request.operation
    if found is not None:
        use = operation.permission.partition("/")[2]
        request.vault.key_rules.confirm(found, operation.object_key, operation.version, use)


def get_random_bytes(request: Request) -> bytes:
    """GetRandomBytes."""
    body: RandomBody = _read_random(request.body)
    return encode({"value": encode_base64url(random_bytes(body.count))})


# what both kinds share


def delete(request: Request) -> Write:
    """DeleteSecret and DeleteKey: soft."""
    return Write(request.rules.delete(request.operation.object_key), request.render)


def recover(request: Request) -> Write:
    """RecoverDeletedSecret and RecoverDeletedKey."""
    return Write(request.rules.recover(request.operation.object_key), request.render)


def get_deleted(request: Request) -> bytes:
    """GetDeletedSecret and GetDeletedKey."""
    rules = request.rules
    found = rules.find_deleted(rules.store, request.operation.object_key)
    return request.render(rules.describe(*found))


def backup(request: Request) -> bytes:
    """BackupSecret and BackupKey."""
    blob = request.rules.backup(request.operation.object_key)
    return encode({"value": encode_base64url(blob)})


def restore(request: Request) -> Write:
    """RestoreSecret and RestoreKey."""
    body: BlobBody = _read_blob(request.body)
    blob = decode_base64url(body.value, "value")
    return Write(request.rules.restore(blob, object_name), request.render)


def list_current(request: Request) -> bytes:
    """GetSecrets and GetKeys."""
    return _list(request, deleted=False)


def list_deleted(request: Request) -> bytes:
    """GetDeletedSecrets and GetDeletedKeys."""
    return _list(request, deleted=True)


def list_versions(request: Request) -> bytes:
    """GetSecretVersions and GetKeyVersions, newest first."""
    operation = request.operation
    marker = _open_marker(request)
    page = request.rules.list_versions(
        operation.object_key,
        before=int(marker) if marker else None,
        limit=operation.max_results,
    )
    return _render_page(request, page, versioned=True)


def _list(request: Request, *, deleted: bool) -> bytes:
    page = request.rules.list_current(
        deleted=deleted, after=_open_marker(request), limit=request.operation.max_results
    )
    return _render_page(request, page, versioned=False)


def _render_page(request: Request, page: Page, *, versioned: bool) -> bytes:
    bundles = request.bundles
    item = bundles.secret_item if request.operation.kind == "secrets" else bundles.key_item
    return encode(
        {
            "value": [item(found, versioned=versioned) for found in page.items],
            "nextLink": None if page.marker is None else _next_link(request, page.marker),
        }
    )


def _next_link(request: Request, marker: str) -> str:
    """Returns the address of the next page; its token is sealed for this caller and list."""
    operation = request.operation
    token = encode_base64url(
        request.vault.kek.seal(marker.encode(), context=_marker_context(request))
    )
    link = f"{request.base}/{_list_path(operation)}?api-version={operation.api_version}"
    link = f"{link}&$skiptoken={token}"
    return f"{link}&maxresults={operation.max_results}" if operation.max_results_given else link


def _list_path(operation: "Operation") -> str:
    if operation.name.endswith("ListVersions"):
        return f"{operation.kind}/{operation.object_name}/versions"
    return f"deleted{operation.kind}" if operation.name.endswith("Deleted") else operation.kind


def _open_marker(request: Request) -> str:
    token = request.operation.skip_token
    if not token:
        return ""
    try:
        blob = decode_base64url(token, "$skiptoken")
        return request.vault.kek.open(blob, context=_marker_context(request)).decode()
    except DecryptionError:
        raise BadParameterError(
            "Property $skiptoken is not one that this list gave to this caller; start the list "
            "again"
        ) from None


def _marker_context(request: Request) -> Context:
    return Context(
        {
            "purpose": "page",
            "vault": request.vault.id,
            "operation": request.operation.name,
            "name": request.operation.object_key,
            "caller": request.principal.object_id,
        }
    )


def _operand(request: Request, use: str) -> tuple[KeyOperationBody, UsableKey]:
    body: KeyOperationBody = _read_key_operation(request.body)
    found = request.used = request.key()
    request.vault.key_rules.authorize_use(found, use)
    request.extra = {"Algorithm": _algorithm(body.alg)}
    return body, found


def _algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise BadParameterError("Property alg is not an algorithm of keys")
    return name


def _result(request: Request, found: UsableKey, value: bytes) -> bytes:
    return encode(
        {
            "kid": f"{request.base}/keys/{found.name}/{found.version}",
            "value": encode_base64url(value),
        }
    )


def _bytes(text: str | None, member: str) -> bytes | None:
    return None if text is None else decode_base64url(text, member)


def _private(request: Request) -> Where:
    """Where the private half of a key is used."""
    found = request.key()
    if found.in_token:
        return Where.TOKEN
    return Where.PROCESSOR if found.slow else Where.LOOP


def _public(request: Request) -> Where:
    """Where the public half is used: the token says first whether it could undo it."""
    return Where.TOKEN if request.key().in_token else Where.LOOP


def _created(request: Request) -> Where:
    return _made(request.decoded(_read_key_create).kty)


def _imported(request: Request) -> Where:
    body: KeyImportBody = request.decoded(_read_key_import)
    kty = body.key.get("kty")
    in_token = bool(body.hsm) or (isinstance(kty, str) and kty.endswith(HSM))
    return Where.TOKEN if in_token else Where.PROCESSOR


def _rotated(request: Request) -> Where:
    return _made(request.key().metadata.key_type or "")


def _made(kty: str) -> Where:
    # Making keys of the other types takes microseconds, and what is no type is refused.
    if kty.endswith(HSM):
        return Where.TOKEN
    return Where.PROCESSOR if kty == "RSA" else Where.LOOP


def _refuse_conversion(wanted: str) -> None:
    if wanted not in {"application/x-pkcs12", "application/x-pem-file"}:
        raise BadParameterError("Property outContentType is not a supported format")
    raise BadParameterError("Property outContentType applies only to the secrets of certificates")


def _refuse_release(policy: dict[str, Any] | None) -> None:
    if policy is not None:
        raise BadParameterError(
            "Property release_policy is not supported: this vault does not release keys"
        )


def _both(verb: str, handler: Handler) -> dict[str, Handler]:
    return {f"Secret{verb}": handler, f"Key{verb}": handler}


#: Every operation that is offered, by the name that the audit log knows it by.
HANDLERS: Final[dict[str, Handler]] = {
    "SecretGet": Handler(get_secret),
    "SecretSet": Handler(set_secret, SMALL),
    "SecretUpdate": Handler(update_secret, SMALL),
    "KeyCreate": Handler(create_key, SMALL, _created, changes=True),
    "KeyImport": Handler(import_key, SMALL, _imported, changes=True),
    "KeyRotate": Handler(rotate_key, 0, _rotated, changes=True),
    "KeyGet": Handler(get_key),
    "KeyUpdate": Handler(update_key, SMALL),
    "KeyEncrypt": Handler(encrypt, SMALL, _public),
    "KeyDecrypt": Handler(decrypt, SMALL, _private),
    "KeyWrap": Handler(wrap, SMALL, _public),
    "KeyUnwrap": Handler(unwrap, SMALL, _private),
    "KeySign": Handler(sign, SMALL, _private),
    "KeyVerify": Handler(verify, SMALL),
    "RandomBytesGet": Handler(get_random_bytes, SMALL),
    **_both("Delete", Handler(delete)),
    **_both("Recover", Handler(recover)),
    **_both("GetDeleted", Handler(get_deleted)),
    **_both("Purge", Handler(purge, status=204)),
    **_both("Backup", Handler(backup)),
    **_both("Restore", Handler(restore, LARGE)),
    **_both("List", Handler(list_current)),
    **_both("ListDeleted", Handler(list_deleted)),
    **_both("ListVersions", Handler(list_versions)),
}
