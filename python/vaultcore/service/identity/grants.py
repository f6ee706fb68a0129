"""From the form of a token request to a token, or to a refusal (RFC 6749, section 4.4)."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from vaultcore.access.applications import Credential
from vaultcore.access.issuer import IssuedToken, Issuer, Shape
from vaultcore.service.identity import refusals

MAXIMUM_FORM = 64 * 1024
_MAXIMUM_FIELDS = 64
_DEFAULT = "/.default"


def parse_form(body: bytes, content_type: str) -> dict[str, str]:
    """Parses the body of a token request.

    Raises:
        TokenRefusedError: it is not a form, or names a parameter twice.
    """
    if content_type.split(";", 1)[0].strip().lower() != "application/x-www-form-urlencoded":
        raise refusals.malformed("The content type must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAXIMUM_FIELDS,
        )
    except ValueError:
        raise refusals.malformed("The body could not be parsed as a form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise refusals.malformed("A parameter occurs more than once.")
    return form


def grant(
    issuer: Issuer,
    *,
    segment: str,
    shape: Shape,
    form: Mapping[str, str],
    authorization: bytes | None = None,
) -> IssuedToken:
    """Issues a token for the secret of an application.

    Args:
        issuer: the issuer of the token.
        segment: the tenant segment of the path.
        shape: the family of the address.
        form: the parameters.
        authorization: the header of that name; it may carry the credentials (RFC 6749, 2.3.1).

    Raises:
        TokenRefusedError: the answer is a refusal.
        StorageError: the store cannot be read or written, or something in it does not verify.
    """
    tenant = issuer.resolve_tenant(segment)
    if tenant is None:
        raise refusals.unknown_tenant()
    grant_type = form.get("grant_type")
    if not grant_type:
        raise refusals.missing("grant_type")
    if grant_type != "client_credentials":
        raise refusals.unsupported_grant()
    resource = _resource(form)
    client_id, client_secret = _credentials(form, authorization)
    # A caller must be authenticated before learning which resources exist.
    credential = _authenticate(issuer, client_id, client_secret)
    resolved = issuer.resolve_resource(resource)
    if resolved is None:
        raise refusals.unknown_resource()
    return issuer.issue(credential, resource=resolved, tenant=tenant, shape=shape)


def _authenticate(issuer: Issuer, client_id: str, client_secret: str) -> Credential:
    credential = issuer.applications.authenticate(client_id, client_secret)
    if credential is None:
        raise refusals.invalid_client()
    if credential.expired:
        raise refusals.expired_secret()
    return credential


def _resource(form: Mapping[str, str]) -> str:
    scope = form.get("scope")
    if scope is None:
        # In the older form of the endpoint, the request names the resource itself.
        resource = form.get("resource", "")
        if not resource:
            raise refusals.missing("scope")
        return resource
    # Some clients also send `openid profile offline_access`.
    named = [entry for entry in scope.split() if entry.endswith(_DEFAULT)]
    if len(named) != 1:
        raise refusals.invalid_scope()
    return named[0].removesuffix(_DEFAULT)


def _credentials(form: Mapping[str, str], authorization: bytes | None) -> tuple[str, str]:
    # As bytes: with text, a decoder would refuse what is not ASCII in its own words.
    scheme, _, encoded = (authorization or b"").partition(b" ")
    if scheme.lower() == b"basic":
        if "client_secret" in form:
            raise refusals.malformed("Send the client secret in one place only.")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
            client_id, separator, client_secret = decoded.partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise refusals.malformed("The Authorization header could not be parsed.") from None
        if not separator:
            raise refusals.malformed("The Authorization header could not be parsed.")
        return unquote_plus(client_id), unquote_plus(client_secret)
    for name in ("client_id", "client_secret"):
        if not form.get(name):
            raise refusals.missing(name)
    return form["client_id"], form["client_secret"]
