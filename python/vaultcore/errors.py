"""Every exception of the package, in one tree.

Messages say what happened and what to do. They never contain a value of a secret, a key or a
token.
"""


class VaultcoreError(Exception):
    """The base of every exception that vaultcore raises on purpose."""


class AlgorithmError(VaultcoreError, ValueError):
    """The algorithm does not exist, or does not fit this key or this input."""


class DecryptionError(VaultcoreError):
    """Opening, decrypting or unwrapping failed.

    The message is the same for every reason, on purpose: a caller who could tell a wrong key from a
    changed ciphertext would have an oracle.
    """

    def __init__(self, message: str = "the ciphertext could not be opened") -> None:
        super().__init__(message)


class KeyFormatError(VaultcoreError, ValueError):
    """A key, or an encoding of one, was refused; the message says why."""


class UsageError(VaultcoreError, ValueError):
    """The interface was used in a way that cannot work; the message says what to change."""


class ConfigurationError(VaultcoreError):
    """The configuration, or the folder that it names, cannot be used as it is."""


class UnreadableError(VaultcoreError):
    """A named file cannot be read, or has the wrong form; the message says why."""


class StorageError(VaultcoreError):
    """The store cannot be read or written, or contains something that does not verify."""


class TamperedError(StorageError):
    """Stored data does not verify: it was changed outside the vault, or belongs elsewhere."""


class ForkError(VaultcoreError):
    """A child process used what its parent had opened; close it before the fork."""


class ProtectorError(VaultcoreError):
    """A protector cannot open the vault keys, or refuses to."""


class ProtectorUnavailableError(ProtectorError):
    """The HSM or key file of a protector is unavailable; the call may succeed later."""


class AuditError(VaultcoreError):
    """An audit record could not be written, so the answer must not be sent."""


class AuditKeyError(AuditError):
    """The audit log contains a record whose MAC was made with an unknown key."""


class VaultError(VaultcoreError):
    """A refusal in the terms of the Azure Key Vault contract (section 2).

    Attributes:
        status: the HTTP status, also for callers in process.
        code: the contract's error code, for example ``SecretNotFound``.
        inner_code: the code of ``innererror``, or None.
        message: what happened and what to do; for callers in process, the log and the record.
        public: what a caller over the network reads. It names no file, host or issuer of this
            machine. The default is the message, or general words if something here has failed.
    """

    status = 500
    default_code = "InternalError"
    general: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        inner: str | None = None,
        public: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.inner_code = inner
        self.public = public or self.general or message


class BadParameterError(VaultError):
    """The request is malformed, or asks for something impossible."""

    status = 400
    default_code = "BadParameter"


class UnauthorizedError(VaultError):
    """The caller has no valid token."""

    status = 401
    default_code = "Unauthorized"


class ForbiddenError(VaultError):
    """The caller, the address or the state of the object forbids the operation."""

    status = 403
    default_code = "Forbidden"


class NotFoundError(VaultError):
    """There is no such vault, object or version."""

    status = 404
    default_code = "NotFound"


class VaultNotFoundError(NotFoundError):
    """There is no such vault.

    Args:
        name: the vault's name, as the caller wrote it.
    """

    default_code = "VaultNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no vault named `{name[:64]}` here; `vaultcore vault list` shows the "
            "existing ones"
        )


class ObjectNotFoundError(NotFoundError):
    """There is no such object or version.

    The rules use an object's canonical name; the caller should read the name as it was sent.

    Args:
        sentence: the message, with ``{}`` for the name.
        code: the contract's error code.
        name: the canonical name.
    """

    def __init__(self, sentence: str, *, code: str, name: str) -> None:
        super().__init__(sentence.format(name), code=code)
        self._sentence = sentence

    def spelled(self, name: str) -> "ObjectNotFoundError":
        """Returns the same error with the name as the caller wrote it."""
        return ObjectNotFoundError(self._sentence, code=self.code, name=name)


class MethodNotAllowedError(VaultError):
    """The route exists, but not with this method."""

    status = 405
    default_code = "MethodNotAllowed"


class ConflictError(VaultError):
    """The name is taken, or the object is in a state that conflicts."""

    status = 409
    default_code = "Conflict"


class PayloadTooLargeError(VaultError):
    """The body is larger than any body of the contract."""

    status = 413
    default_code = "RequestBodyTooLarge"


class ThrottledError(VaultError):
    """Too many requests; try again later."""

    status = 429
    default_code = "Throttled"


class RequestTimeoutError(VaultError):
    """The body did not arrive in time."""

    status = 408
    default_code = "RequestTimeout"


class InternalError(VaultError):
    """Something failed that the caller did not cause."""

    general = "An unexpected error occurred; the service's log says more."


class UnavailableError(VaultError):
    """The store, the HSM or the audit log is unavailable; the call may succeed later."""

    status = 503
    default_code = "ServiceUnavailable"
    general = "the service cannot do this now; try again later"


def as_refusal(failure: BaseException) -> VaultError:
    """Returns any failure as a refusal of the contract: the one place that picks status and words.

    Args:
        failure: what was raised; a refusal is returned unchanged.
    """
    if isinstance(failure, VaultError):
        return failure
    if isinstance(failure, AuditError):
        return UnavailableError(
            f"the audit record could not be written: {failure}",
            public="the audit log cannot be written, so no request is answered; try again later",
        )
    if isinstance(failure, TamperedError):
        return InternalError(
            str(failure),
            public="what is stored does not verify: it was changed outside the vault; the "
            "service's log says more",
        )
    if isinstance(failure, (StorageError, ProtectorError)):
        return UnavailableError(str(failure))
    if isinstance(failure, VaultcoreError):
        return InternalError(f"{type(failure).__name__}: {failure}")
    return InternalError(f"unexpected {type(failure).__name__}")
