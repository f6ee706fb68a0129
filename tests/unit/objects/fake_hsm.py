"""An HSM in memory, which can be switched off."""

from collections.abc import Mapping
from typing import Any

from vaultcore._core import Key
from vaultcore.errors import ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.hsm import HsmKey


class FakeHsm:
    """Holds keys by a number.

    Attributes:
        held: the keys, by reference.
        available: whether it answers.
        offered: the algorithms that it decrypts.
        asked: what it was asked for, in order.
    """

    processes = 1
    deadline = 5.0

    def __init__(self) -> None:
        self.held: dict[str, Key] = {}
        self.available = True
        self.offered = {"RSA-OAEP"}
        self.asked: list[str] = []

    def check(self) -> None:
        if not self.available:
            raise ProtectorUnavailableError("the HSM does not answer")

    def revive(self) -> None:
        self.check()

    def generate(self, kty: str, *, size: int | None, curve: str | None, label: str) -> HsmKey:
        return self._hold("generate", lambda: Key.generate(kty, size=size, curve=curve))

    def import_key(self, jwk: Mapping[str, Any], *, label: str) -> HsmKey:
        return self._hold("import", lambda: Key.from_jwk(jwk))

    def sign(self, reference: str, algorithm: str, digest: bytes) -> bytes:
        return self._key("sign", reference).sign(algorithm, digest)

    def decrypt(self, reference: str, algorithm: str, ciphertext: bytes) -> bytes:
        return self._key("decrypt", reference).decrypt(algorithm, ciphertext)

    def offers(self, reference: str, algorithm: str) -> bool:
        self._key("offers", reference)
        return algorithm in self.offered

    def destroy(self, reference: str) -> None:
        self._key("destroy", reference)
        del self.held[reference]

    def _hold(self, what: str, make: Any) -> HsmKey:
        self.asked.append(what)
        self.check()
        key: Key = make()
        reference = f"fake:{len(self.asked)}"
        self.held[reference] = key
        return HsmKey(reference, {name: str(value) for name, value in key.public_jwk().items()})

    def _key(self, what: str, reference: str) -> Key:
        self.asked.append(what)
        self.check()
        if reference not in self.held:
            raise ProtectorError("the key is not in the HSM")
        return self.held[reference]
