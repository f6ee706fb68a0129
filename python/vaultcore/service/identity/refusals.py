"""The refusals of the token endpoint (RFC 6749, section 5.2)."""

import datetime as dt
from typing import Any

from vaultcore.errors import VaultcoreError


class TokenRefusedError(VaultcoreError):
    """A refusal in the shape that the client libraries of Entra ID parse.

    Args:
        error: the error of OAuth 2.0, for example ``invalid_client``.
        code: the number that people search the web for.
        text: what happened and what to do; it repeats no secret.
        status: the HTTP status.
    """

    def __init__(self, error: str, code: int, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.error = error
        self.code = code
        self.text = text
        self.status = status

    def body(self, *, now: float, trace_id: str, correlation_id: str) -> dict[str, Any]:
        """Returns the body of the answer."""
        time = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.code}: {self.text} Trace ID: {trace_id} "
                f"Correlation ID: {correlation_id} Timestamp: {time}"
            ),
            "error_codes": [self.code],
            "timestamp": time,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
        }


def invalid_client() -> TokenRefusedError:
    """The application or its secret is wrong; the answer does not say which."""
    return TokenRefusedError(
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        "secret value, not the client secret ID, for a secret added to the application.",
        status=401,
    )


def expired_secret() -> TokenRefusedError:
    """The secret is right, and has expired."""
    return TokenRefusedError(
        "invalid_client",
        7000222,
        "The provided client secret keys are expired. Add a new secret to the application.",
        status=401,
    )


def unknown_tenant() -> TokenRefusedError:
    """The path names a tenant that is not served."""
    return TokenRefusedError(
        "invalid_request",
        90002,
        "The tenant of the request was not found. Check that you have the correct tenant id.",
    )


def missing(parameter: str) -> TokenRefusedError:
    """A parameter of the form is missing."""
    return TokenRefusedError(
        "invalid_request",
        900144,
        f"The request body must contain the following parameter: '{parameter}'.",
    )


def malformed(text: str) -> TokenRefusedError:
    """The request cannot be read."""
    return TokenRefusedError("invalid_request", 9002313, f"Invalid request. {text}")


def unsupported_grant() -> TokenRefusedError:
    """The form requests another flow."""
    return TokenRefusedError(
        "unsupported_grant_type",
        70003,
        "The app requested an unsupported grant type. Supported is 'client_credentials'.",
    )


def invalid_scope() -> TokenRefusedError:
    """The scope names no resource."""
    return TokenRefusedError(
        "invalid_scope",
        1002012,
        "The provided value for scope is not valid. Client credential flows must have a scope "
        "value with /.default suffixed to the resource identifier (application ID URI).",
    )


def unknown_resource() -> TokenRefusedError:
    """The issuer issues no tokens for this resource."""
    return TokenRefusedError(
        "invalid_resource",
        500011,
        "The resource principal of the request was not found in the tenant. Check that the "
        "resource is that of the vault, as its challenge names it.",
    )


def by_firewall() -> TokenRefusedError:
    """The address may not talk to the issuer; the request was not read."""
    text = "Access has been blocked by the firewall of the issuer."
    return TokenRefusedError("access_denied", 53003, text, status=403)


def wrong_method() -> TokenRefusedError:
    """The request to the token endpoint was not a POST."""
    text = "The endpoint only accepts POST requests."
    return TokenRefusedError("invalid_request", 900561, text, status=405)


def too_large(limit: int) -> TokenRefusedError:
    """The body is longer than any form of a client library."""
    text = f"The request is too large. The limit is {limit} bytes."
    return TokenRefusedError("invalid_request", 90015, text, status=413)


def too_slow() -> TokenRefusedError:
    """The body did not arrive in time."""
    text = "The request did not arrive in time. Please try again."
    return TokenRefusedError("invalid_request", 90006, text, status=408)


def unavailable() -> TokenRefusedError:
    """Something here is unavailable or broken; an unauthenticated caller is not told what."""
    text = "A transient error has occurred. Please try again."
    return TokenRefusedError("temporarily_unavailable", 90033, text, status=503)


def unknown_path() -> TokenRefusedError:
    """No client library is known to use this address."""
    text = "There is nothing at this address. Check the authority of the client."
    return TokenRefusedError("invalid_request", 90002, text, status=404)
