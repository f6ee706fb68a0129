"""The encoding of bytes in JSON."""

import base64
import binascii

from vaultcore.errors import BadParameterError


def encode_base64url(data: bytes) -> str:
    """Returns base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str, member: str) -> bytes:
    """Decodes base64url, with or without padding.

    Args:
        text: the text that the caller sent.
        member: the name of the member, for the message.

    Raises:
        BadParameterError: the text is not base64url.
    """
    bare = text.rstrip("=")
    if "+" in bare or "/" in bare:  # standard base64, which the decoder would accept too
        raise BadParameterError(f"Property {member} is not valid base64url")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadParameterError(f"Property {member} is not valid base64url") from None
