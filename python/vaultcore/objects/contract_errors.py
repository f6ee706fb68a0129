"""Refusals of the core and the HSM, in the terms of the contract."""

from vaultcore.errors import (
    AlgorithmError,
    BadParameterError,
    DecryptionError,
    KeyFormatError,
    ProtectorError,
    UnavailableError,
    UsageError,
)


class contract_errors:  # noqa: N801 - used as `with contract_errors():`
    """Turns errors of the core and of the HSM into the contract's."""

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raises the contract's error for one of the core's.

        Raises:
            BadParameterError: the algorithm, the key or the ciphertext was refused.
            UnavailableError: the HSM is unavailable.
        """
        if isinstance(error, DecryptionError):
            raise BadParameterError("The parameter is incorrect.") from None
        if isinstance(error, (AlgorithmError, KeyFormatError, UsageError)):
            raise BadParameterError(f"Property alg or value is invalid: {error}") from None
        if isinstance(error, ProtectorError):
            raise UnavailableError(
                str(error), public="the HSM that holds this key is unavailable; try again later"
            ) from None
