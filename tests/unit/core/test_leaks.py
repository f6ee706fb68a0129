"""No secret is in a core dump, a representation or a traceback; each search first finds one."""

import base64
import copy
import os
import pickle
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from unit.core.test_envelope_memory import hits
from vaultcore._core import Key, KeyEncryptionKey, StreamOpener, StreamSealer
from vaultcore.errors import VaultcoreError

# Keys come sealed, and the key that they are sealed under through one buffer that is overwritten:
# Python never has their bytes. All that is in the core dump comes from what the core left behind.
CHILD = """
import os, sys
from vaultcore._core import Key, KeyEncryptionKey
from vaultcore.errors import VaultcoreError

def read(size):
    data = bytearray(size)
    view = memoryview(data)
    while view:
        view = view[os.readv(0, [view]):]
    return data

raw = read(32)
kek = KeyEncryptionKey.danger_from_bytes(raw)
raw[:] = bytes(32)
keys = []
while size := int.from_bytes(read(4), "big"):
    keys.append(Key.open(kek, bytes(read(size))))
for key in keys:
    for _ in range(20):
        for algorithm in key.algorithms:
            for value in (b"1" * 32, b"2" * 7):
                for use in (key.sign, key.encrypt, key.wrap_key):
                    try:
                        done = use(algorithm, value)
                        if use == key.encrypt:
                            key.decrypt(algorithm, done.ciphertext, nonce=done.nonce, tag=done.tag)
                        elif use == key.wrap_key:
                            key.unwrap_key(algorithm, done)
                            key.unwrap_key(algorithm, done[:-1] + b"x")
                    except VaultcoreError:
                        pass
    key.seal(kek)
    try:
        key.export_private_pem()
    except VaultcoreError as refused:
        kept = refused
if sys.argv[1] == "gone":
    del key, keys, kek, use
os.write(1, b"ready")
os.readv(0, [bytearray(1)])
os.abort()
"""


#: Whether a core dump is a file in the folder of the process, and not sent elsewhere or forbidden.
DUMPS_HERE = (
    not Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/"))
    and resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY
)


def secrets_of(key: Key) -> list[bytes]:
    """Returns the private numbers, as bytes in either order."""
    jwk = key.export_private_jwk()
    members = [jwk[name] for name in ("d", "p", "q", "k") if name in jwk]
    numbers = [base64.urlsafe_b64decode(member + "==") for member in members]
    return [order for number in numbers for order in (number, number[::-1])]


@pytest.fixture(scope="module")
def keys() -> list[Key]:
    # Symmetric keys are exported whether they are exportable or not; they are searched for as well.
    return [
        Key.generate("RSA", size=2048, exportable=True),
        Key.generate("EC", curve="P-256", exportable=True),
        Key.generate("EC", curve="P-384", exportable=True),
        Key.generate("EC", curve="P-521", exportable=True),
        Key.generate("EC", curve="P-256K", exportable=True),
        Key.generate("OKP", curve="Ed25519", exportable=True),
        Key.generate("oct", size=256),
        Key.generate("oct", size=512),
    ]


class Dump:
    """The memory of the child, from its core dump, or alive where the system keeps no dump."""

    def __init__(self, folder: Path, keys: list[Key], what: str) -> None:
        self._raw = os.urandom(32)
        kek = KeyEncryptionKey.danger_from_bytes(self._raw)
        sealed = [Key.from_jwk(key.export_private_jwk()).seal(kek) for key in keys]
        entries = [len(blob).to_bytes(4, "big") + blob for blob in sealed]
        self._input = self._raw + b"".join(entries) + bytes(4)
        self._folder, self._what = folder, what
        self.secrets = [self._raw, *(secret for key in keys for secret in secrets_of(key))]

    def found(self) -> int:
        """Returns how many of the secrets are in there, in one order of bytes or the other."""

        def allow_dump() -> None:
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

        command = [sys.executable, "-c", CHILD, self._what]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what faulthandler may say about the abort
            cwd=self._folder,
            preexec_fn=allow_dump,  # noqa: PLW1509 - one thread, before anything else runs
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(self._input)
            child.stdin.flush()
            assert child.stdout.read(5) == b"ready"
            if not DUMPS_HERE:
                alive = hits(child.pid, self.secrets)
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.wait(60)
        if not DUMPS_HERE:
            return alive
        (dump,) = self._folder.glob("core*")
        content = dump.read_bytes()
        return sum(secret in content for secret in self.secrets)


class TestCoreDump:
    def test_the_search_finds_the_keys_of_a_child_that_has_them(self, tmp_path, keys):
        dump = Dump(tmp_path, keys, "alive")
        # One order of bytes for each at least: RSA has d, p and q, all others one number.
        assert dump.found() >= len(keys)

    def test_keys_that_went_are_in_no_dump(self, tmp_path, keys):
        assert Dump(tmp_path, keys, "gone").found() == 0


def spellings(secret: bytes) -> list[str]:
    """Returns how a secret would look in text."""
    return [
        secret.hex(),
        base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        repr(secret)[2:-1],
        str(int.from_bytes(secret, "big")),
    ]


def shown(text: str, secrets: list[bytes]) -> bool:
    return any(spelling in text for secret in secrets for spelling in spellings(secret))


def failures(key: Key) -> list[Callable[[], object]]:
    """Returns calls that fail, each another way."""
    kek = KeyEncryptionKey.generate()
    blob = key.seal(kek, {"a": 1})
    return [
        lambda: key.sign("none", b""),
        lambda: [key.sign(algorithm, b"") for algorithm in ("ES256", "RS256", "HS512", "ES512")],
        lambda: key.encrypt("A128GCM", b"x", nonce=b"x"),
        lambda: key.decrypt("A256GCM", b"x" * 20, nonce=b"x" * 12, tag=b"x" * 16),
        lambda: key.unwrap_key("A256KW", b"x" * 40),
        lambda: Key.open(kek, blob, {"a": 2}),
        lambda: Key.open(KeyEncryptionKey.generate(), blob, {"a": 1}),
        lambda: kek.open(blob, context={"a": 1}),
        lambda: pickle.dumps(key),
        lambda: copy.deepcopy(key),
        lambda: copy.copy(kek),
        lambda: KeyEncryptionKey.danger_from_bytes(kek.danger_to_bytes()[:31]),
    ]


def told(failing: Callable[[], object]) -> str:
    """Returns a traceback with the values of all locals, as a debugger or an error tracker has."""
    try:
        failing()
    except (VaultcoreError, TypeError) as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        return "".join(lines)
    return ""


class TestText:
    def test_the_search_finds_a_planted_secret(self):
        secret = os.urandom(32)

        def plant(local: bytes) -> None:
            raise TypeError(len(local))

        assert shown(told(lambda: plant(secret)), [secret])
        for spelling in spellings(secret):
            assert shown(f"key: {spelling}!", [secret])

    def test_no_representation_shows_a_key(self, keys):
        kek = KeyEncryptionKey.generate()
        secret = kek.danger_to_bytes()
        for thing in (kek, StreamSealer(kek), StreamOpener(kek)):
            assert not shown(f"{thing!r} {thing}" + str(dir(thing)), [secret])
        for key in keys:
            text = f"{key!r} {key}" + str([getattr(key, name) for name in ("kty", "algorithms")])
            assert not shown(text + str(key.public_jwk()), secrets_of(key))

    def test_no_traceback_shows_a_key(self, keys):
        for key in keys:
            texts = [told(failing) for failing in failures(key)]
            assert sum(map(bool, texts)) >= len(texts) - 2  # a key may be good for one or two
            assert not shown("".join(texts), secrets_of(key))

    @pytest.mark.parametrize("cut", [1, 10, 100])
    def test_what_is_wrong_with_a_key_is_told_without_it(self, keys, cut):
        for key in keys:
            jwk = key.export_private_jwk()
            member = "k" if key.kty == "oct" else "d"
            broken = {**jwk, member: jwk[member] + "A" * cut}
            pem = b"" if key.kty == "oct" else key.export_private_pem()
            for read in (
                lambda broken=broken: Key.from_jwk(broken),
                lambda pem=pem, cut=cut: Key.from_pem(pem[:-cut] + b"!" + pem[-cut:]),
                lambda pem=pem, cut=cut: Key.from_der(pem[cut:]),
            ):
                try:
                    read()
                except VaultcoreError as refused:
                    message = f"{refused} {refused!r} {refused.__cause__} {refused.__context__}"
                    assert not shown(message, secrets_of(key))
                    assert jwk[member] not in message

    def test_an_export_is_what_was_asked_for(self, keys):
        """The one way out works, so the searches above looked for the right bytes."""
        key = keys[1]
        loaded = serialization.load_pem_private_key(key.export_private_pem(), None)
        number = loaded.private_numbers().private_value  # type: ignore[union-attr]
        assert number.to_bytes(32, "big") == secrets_of(key)[0]
