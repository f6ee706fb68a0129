"""The bodies of requests (contract sections 1.1 and 1.2), read strictly."""

from typing import Any

import msgspec

from vaultcore._core import check_json
from vaultcore.errors import BadParameterError, UsageError
from vaultcore.objects.attributes import Attributes


class _Body(msgspec.Struct, frozen=True):
    """A body; it is not shown in ``repr``, because it may hold a secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class SecretSetBody(_Body, frozen=True, rename="camel"):
    """The body of SetSecret."""

    value: str
    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class SecretUpdateBody(_Body, frozen=True, rename="camel"):
    """The body of UpdateSecret."""

    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class BlobBody(_Body, frozen=True):
    """The body of the restore operations."""

    value: str


class KeyCreateBody(_Body, frozen=True):
    """The body of CreateKey."""

    kty: str
    key_size: int | None = None
    public_exponent: int | None = None
    key_ops: list[str] | None = None
    crv: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyImportBody(_Body, frozen=True):
    """The body of ImportKey; the member that requests the HSM is spelled ``Hsm``."""

    key: dict[str, Any]
    hsm: bool | None = msgspec.field(default=None, name="Hsm")
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyUpdateBody(_Body, frozen=True):
    """The body of UpdateKey."""

    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyOperationBody(_Body, frozen=True):
    """The body of encrypt, decrypt, wrapkey, unwrapkey and sign."""

    alg: str
    value: str
    iv: str | None = None
    aad: str | None = None
    tag: str | None = None


class KeyVerifyBody(_Body, frozen=True):
    """The body of verify."""

    alg: str
    digest: str
    value: str


class RandomBody(_Body, frozen=True):
    """The body of GetRandomBytes."""

    count: int


def reader(shape: type) -> Any:
    """Returns a function that reads a body of one shape, strictly.

    The function raises BadParameterError; the message names the member and the kind of the
    mistake, never the value.
    """
    decode: Any = msgspec.json.Decoder(shape).decode

    def read(body: bytes) -> Any:
        try:
            check_json(body)
            return decode(body)
        except UsageError as refused:
            raise BadParameterError(f"the body is not valid JSON: {refused}") from None
        except msgspec.ValidationError as refused:
            raise BadParameterError(f"Property has invalid value\r\n{refused}") from None
        except msgspec.DecodeError:
            raise BadParameterError("the body is not valid JSON") from None

    return read
