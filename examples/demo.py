"""The whole story on the terminal: a vault that unmodified Azure clients use.

It starts a vault on an empty folder, drives it with ``azure-identity``, ``azure-keyvault-secrets``
and ``azure-keyvault-keys``, shows what the gate refuses, and ends with the audit records of exactly
those requests. It exits with status 0 only if every step did what it should.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyCurveName, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, SignatureAlgorithm
from azure.keyvault.secrets import SecretClient
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.console import Console

from vaultcore.protectors.pkcs11 import softhsm

COMMAND = str(Path(sys.executable).with_name("vaultcore"))
API_VERSION = "2025-07-01"
VALUE = "correct horse battery staple"

console = Console(highlight=False, soft_wrap=True)


class UnexpectedError(Exception):
    """A step did not do what it should."""


class Story:
    """Prints the steps and counts them."""

    def __init__(self) -> None:
        self.steps = 0

    def chapter(self, title: str) -> None:
        """Begins a part of the story."""
        console.print(f"\n[bold]{title}[/bold]")

    def say(self, text: str) -> None:
        """Explains something."""
        console.print(f"  {text}", style="dim", markup=False)

    def step(self, text: str, *, true: bool = True) -> None:
        """Reports a step that succeeded, or ends the story if it did not do what it should."""
        if not true:
            raise UnexpectedError(text)
        self.steps += 1
        console.print("  [green]ok[/green]  ", end="")
        console.print(text, markup=False)

    def refused(self, text: str, call: Callable[[], object], status: int, code: str) -> None:
        """Reports a call that must be refused with this status and this code."""
        try:
            call()
        except HttpResponseError as error:
            inner = error.error.innererror if error.error is not None else None
            found = (inner or {}).get("code") or (error.error.code if error.error else "")
            answer = f"{error.status_code} {found}"
        else:
            answer = "an answer"
        if answer != f"{status} {code}":
            raise UnexpectedError(f"{text}: expected {status} {code}, got {answer}")
        self.step(f"{text}: {answer}")


class Demo:
    """The vault of the demonstration, and its clients.

    Args:
        data: an empty folder.
        story: prints the steps.
    """

    def __init__(self, data: Path, story: Story) -> None:
        self.data = data
        self.story = story
        self.has_token = softhsm.find_module() is not None
        self.expected: list[tuple[str, int]] = []
        self.url = ""

    # the command line

    def vaultcore(self, *words: str, quietly: bool = False) -> Any:
        """Runs a command on the folder of the running vault and returns its JSON."""
        if not quietly:
            self.story.say(f"$ vaultcore {' '.join(words)}")
        done = subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *words, "--data", str(self.data), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise UnexpectedError(f"vaultcore {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Runs the vault."""
        words = ["dev", "--data", str(self.data), "--port", "0"]
        if self.has_token:
            words.append("--hsm")
        with (self.data.parent / "service.log").open("wb") as log:
            service = subprocess.Popen([COMMAND, *words], stdout=log, stderr=log)  # noqa: S603
            try:
                os.environ.update(self.vaultcore("env", quietly=True))
                yield
            finally:
                service.terminate()
                service.wait(timeout=30)

    # the parts of the story

    def start(self) -> None:
        """Shows what was created in the empty folder."""
        self.url = os.environ["VAULT_URL"]
        story = self.story
        story.say(f"$ vaultcore dev{' --hsm' if self.has_token else ''}")
        story.step(f"a vault answers at {self.url}, over TLS with its own certificate authority")
        story.step(f"an issuer answers at {os.environ['AZURE_AUTHORITY_HOST']}")
        protectors = {row["kind"] for row in self.vaultcore("protector", "list")}
        if self.has_token:
            story.step(
                "the vault's key is wrapped by a PKCS#11 token (SoftHSM), and by a key file as a "
                "second way in",
                true=protectors == {"pkcs11", "file"},
            )
        else:
            story.step(
                "SoftHSM is not installed, so the vault's key is wrapped by a key file "
                "(apt-get install softhsm2 for a token)",
                true=protectors == {"file"},
            )

    def secrets(self, client: SecretClient) -> None:
        """Stores and reads a secret with two versions, one of them disabled."""
        story = self.story
        first = client.set_secret("db-password", VALUE, content_type="text/plain")
        # The first request of each client has no token; the challenge says where to get one.
        self.expected += [("Authentication", 401), ("SecretSet", 200)]
        story.step(f"set_secret('db-password', ...)      version {first.properties.version}")
        read = client.get_secret("db-password")
        self.expected.append(("SecretGet", 200))
        story.step("get_secret('db-password')           the same value", true=read.value == VALUE)

        second = client.set_secret("db-password", VALUE + " 2")
        self.expected.append(("SecretSet", 200))
        story.step(f"set_secret again                    version {second.properties.version}")
        versions = list(client.list_properties_of_secret_versions("db-password"))
        self.expected.append(("SecretListVersions", 200))
        story.step(
            "list_properties_of_secret_versions  two of them",
            true={version.version for version in versions}
            == {first.properties.version, second.properties.version},
        )
        old = first.properties.version
        client.update_secret_properties("db-password", old, enabled=False)
        self.expected.append(("SecretUpdate", 200))
        story.step("update_secret_properties            the first version is disabled")
        story.refused(
            "get_secret of the first version     refused",
            lambda: client.get_secret("db-password", old),
            403,
            "SecretDisabled",
        )
        self.expected.append(("SecretGet", 403))
        read = client.get_secret("db-password")
        self.expected.append(("SecretGet", 200))
        story.step("get_secret of the current version   works", true=read.value == VALUE + " 2")

    def keys(self, client: KeyClient, credential: DefaultAzureCredential) -> None:
        """Signs and verifies, encrypts and decrypts; the private key never leaves."""
        story = self.story
        signer = client.create_ec_key(
            "orders", curve=KeyCurveName.p_256, hardware_protected=self.has_token
        )
        self.expected += [("Authentication", 401), ("KeyCreate", 200)]
        place = "in the token" if self.has_token else "in the vault"
        story.step(f"create_ec_key('orders')             {_kind(signer)}, created {place}")
        crypto = CryptographyClient(signer, credential)
        digest = hashlib.sha256(b"one espresso").digest()
        signature = crypto.sign(SignatureAlgorithm.es256, digest).signature
        self.expected.append(("KeySign", 200))
        story.step(f"sign ES256                          {signature.hex()[:32]}...")
        story.step(
            "verify                              the signature is good",
            true=crypto.verify(SignatureAlgorithm.es256, digest, signature).is_valid is True,
        )
        other = hashlib.sha256(b"two espressi").digest()
        story.step(
            "verify for another digest           the signature is not good",
            true=crypto.verify(SignatureAlgorithm.es256, other, signature).is_valid is False,
        )

        box = client.create_rsa_key("letters", size=2048)
        self.expected.append(("KeyCreate", 200))
        story.step(f"create_rsa_key('letters')           {_kind(box)}, 2048 bits")
        crypto = CryptographyClient(box, credential)
        sealed = crypto.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"meet me at noon")
        story.step("encrypt RSA-OAEP-256                by the client, with the public key")
        opened = crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, sealed.ciphertext)
        self.expected.append(("KeyDecrypt", 200))
        story.step(
            "decrypt RSA-OAEP-256                by the vault, the same text",
            true=opened.plaintext == b"meet me at noon",
        )

    def gate(self, client: SecretClient) -> None:
        """Shows refusals: no token, a forged token, a disallowed address, no permission."""
        story = self.story
        address = f"{self.url}/secrets/db-password?api-version={API_VERSION}"

        def status(token: str | None) -> tuple[int, str]:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            answer = httpx.get(address, headers=headers)
            return answer.status_code, answer.headers.get("WWW-Authenticate", "")

        found, challenge = status(None)
        self.expected.append(("Authentication", 401))
        story.step(
            "no token: 401, with the challenge that says where to get one",
            true=found == 401 and challenge.startswith("Bearer authorization="),  # noqa: PLR2004
        )
        found, _ = status(self._forged())
        self.expected.append(("Authentication", 401))
        story.step("a forged token, with the right claims but signed by another key: 401",
                   true=found == 401)  # fmt: skip # noqa: PLR2004

        self.vaultcore("firewall", "add", "203.0.113.0/24", "--vault", "dev")
        self.vaultcore("firewall", "set", "--default-action", "Deny", "--vault", "dev")
        story.refused(
            "the firewall allows only 203.0.113.0/24, and our address is not in it",
            lambda: client.get_secret("db-password"),
            403,
            "ForbiddenByFirewall",
        )
        self.expected.append(("SecretGet", 403))
        self.vaultcore("firewall", "set", "--default-action", "Allow", "--vault", "dev")
        client.get_secret("db-password")
        self.expected.append(("SecretGet", 200))
        story.step("the firewall allows every address again: the next request passes")

        made = self.vaultcore("app", "create", "reporter")
        self.vaultcore(
            "access", "set", "--vault", "dev", "--principal", "reporter",
            "--secret-permissions", "list",
        )  # fmt: skip
        reporter = SecretClient(
            self.url,
            ClientSecretCredential("adfs", made["client_id"], made["client_secret"]),
        )
        names = [secret.name for secret in reporter.list_properties_of_secrets()]
        self.expected.append(("SecretList", 200))
        story.step("`reporter`, which may list secrets, lists them", true=names == ["db-password"])
        story.refused(
            "`reporter` reads a secret",
            lambda: reporter.get_secret("db-password"),
            403,
            "AccessDenied",
        )
        self.expected.append(("SecretGet", 403))
        self.vaultcore("access", "remove", "--vault", "dev", "--principal", "reporter")
        story.refused(
            "`reporter` loses its grant: the next list is refused, with the same token",
            lambda: list(reporter.list_properties_of_secrets()),
            403,
            "AccessDenied",
        )
        self.expected.append(("SecretList", 403))

    def audit(self) -> None:
        """Shows that exactly those requests are on record, and that the log verifies."""
        story = self.story
        records = [
            record
            for record in self.vaultcore("audit", "query", "--vault", "dev")
            if record["operationName"].startswith(("Secret", "Key", "Authentication"))
        ]
        names = {row["client_id"]: row["name"] for row in self.vaultcore("app", "list")}
        for record in records:
            story.say(
                f"{record['sequence']:>4}  {record['time'][11:23]}  {record['operationName']:<19} "
                f"{record['httpStatusCode']}  {_caller(record, names)}"
            )
        found = [(record["operationName"], int(record["httpStatusCode"])) for record in records]
        if found != self.expected:
            raise UnexpectedError(f"on record: {found}; expected: {self.expected}")
        story.step(f"exactly the {len(found)} requests of this story are on record, in their order")
        report = self.vaultcore("audit", "verify")
        story.step(
            "audit verify: every record continues the one before it, and the checkpoints are "
            "signed",
            true=report["ok"] is True,
        )
        self._tamper()

    def disk(self) -> None:
        """Shows that nothing on the disk holds a value in the clear."""
        holding = [
            path.name
            for path in self.data.rglob("*")
            if path.is_file() and VALUE.encode() in path.read_bytes()
        ]
        self.story.step("no file of the vault holds the secret in the clear", true=not holding)

    # what the parts need

    def _forged(self) -> str:
        """Creates a token with the claims of a genuine one, signed by another key."""
        now = int(time.time())
        genuine = DefaultAzureCredential().get_token(f"{self._resource()}/.default").token
        claims = jwt.decode(genuine, options={"verify_signature": False})
        key = rsa.generate_private_key(65537, 2048)
        headers = {"kid": jwt.get_unverified_header(genuine)["kid"]}
        claims |= {"iat": now, "nbf": now, "exp": now + 600, "jti": str(uuid.uuid4())}
        return jwt.encode(claims, key, "RS256", headers=headers)

    def _resource(self) -> str:
        return "https://" + self.url.removeprefix("https://").partition(".")[2]

    def _tamper(self) -> None:
        """Changes one status in a copy of the log, and verifies the copy."""
        from vaultcore.audit.verifier import verify  # noqa: PLC0415

        copy = self.data.parent / "tampered"
        shutil.copytree(self.data / "audit", copy)
        log = copy / "audit.jsonl"
        text = log.read_bytes()
        log.write_bytes(text.replace(b'"httpStatusCode":403', b'"httpStatusCode":200', 1))
        report = verify(copy, public_key=None, expect=None)
        self.story.step(
            "a copy of the log, with one refusal changed into a success, does not verify",
            true=text != log.read_bytes() and not report.ok,
        )


def _kind(key: KeyVaultKey) -> str:
    return str(getattr(key.key_type, "value", key.key_type))


def _caller(record: dict[str, Any], names: dict[str, str]) -> str:
    client = record["identity"].get("claim", {}).get("appid", "")
    return names.get(client, "nobody")


def _resolve_names() -> bool:
    """Resolves names below localhost to the loopback in this process, if the system does not.

    RFC 6761 section 6.3 asks resolvers to do so; that of a plain Debian does not.

    Returns:
        Whether the system's resolver needed this help.
    """
    genuine = socket.getaddrinfo
    try:
        genuine("dev.vault.localhost", 443)
    except OSError:
        pass
    else:
        return False

    def resolve(host: Any, *words: Any, **options: Any) -> Sequence[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        here = isinstance(name, str) and name.endswith(".localhost")
        return genuine("127.0.0.1" if here else host, *words, **options)

    socket.getaddrinfo = resolve  # type: ignore[assignment]
    return True


def tell(demo: Demo, story: Story) -> None:
    """Tells the whole story."""
    with demo.running():
        story.chapter("An empty folder becomes a vault")
        demo.start()
        credential = DefaultAzureCredential()
        with SecretClient(demo.url, credential) as client, KeyClient(demo.url, credential) as keys:
            story.chapter("Secrets, with unmodified azure-identity and azure-keyvault-secrets")
            demo.secrets(client)
            story.chapter("Keys, with unmodified azure-keyvault-keys")
            demo.keys(keys, credential)
            story.chapter("What the gate refuses")
            demo.gate(client)
        story.chapter("What was recorded")
        demo.audit()
        demo.disk()


def main() -> int:
    """Runs the demonstration and returns its exit status."""
    story = Story()
    started = time.monotonic()
    console.print("[bold]vaultcore[/bold]: a vault of your own, used by unmodified Azure clients")
    if _resolve_names():
        story.say(
            "(*.localhost does not resolve here: this process resolves it to 127.0.0.1 itself)"
        )
    with tempfile.TemporaryDirectory(prefix="vaultcore-demo-") as scratch:
        try:
            tell(Demo(Path(scratch) / "data", story), story)
        except UnexpectedError as failure:
            console.print("  [red]failed[/red]  ", end="")
            console.print(str(failure), markup=False)
            log = Path(scratch) / "service.log"
            if log.exists():
                console.print(log.read_text(errors="replace")[-2000:], markup=False, style="dim")
            return 1
    seconds = time.monotonic() - started
    console.print(f"\n[bold green]All {story.steps} steps did what they should[/bold green] "
                  f"({seconds:.0f} s).")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
