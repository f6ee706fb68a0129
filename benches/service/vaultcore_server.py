"""vaultcore as `vaultcore dev` starts it: TLS, audit, an application with an access policy."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from benches.service import server as base
from benches.service.server import Load, Memory, Process
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Sequence

_API = "api-version=7.4"
_GRANTS = (
    ("--secret-permissions", ("get", "set")),
    ("--key-permissions", ("get", "create", "encrypt", "decrypt", "sign", "verify")),
)
_KEYS = (
    ("aes", {"kty": "oct", "key_size": 256, "key_ops": ["encrypt", "decrypt"]}),
    ("ec", {"kty": "EC", "crv": "P-256"}),
    ("rsa", {"kty": "RSA", "key_size": 2048}),
)


class Vaultcore:
    """The service on a folder of its own."""

    name = "vaultcore"

    def __init__(self, folder: Path, *, options: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.data = folder / "data"
        self._options = tuple(options)
        self._port = base.free_port()
        # The loopback address is the first vault, so the load generator needs no name to resolve.
        self.url = f"https://127.0.0.1:{self._port}"
        self.version = vaultcore.__version__
        self.object_id = ""
        self.loads: dict[str, Load] = {}
        self._process: Process | None = None
        self._http: httpx.Client | None = None
        self._token = ""
        self._keys: dict[str, dict[str, Any]] = {}

    def start(self) -> float:
        """Start, and read once; a new folder is filled with what `dev` makes first.

        Raises:
            TimeoutError: it did not answer in time.
        """
        began = time.perf_counter()
        command = [*_program(), "dev", "--data", str(self.data), "--port", str(self._port)]
        process = Process([*command, *self._options], self._folder / "server.log")
        self._process = process
        if self._http is None:
            # The authority is made by the first start, so that one has to be waited for.
            authority = Path(self._environment()["SSL_CERT_FILE"])
            context = ssl.create_default_context(cafile=str(authority))
            self._http = httpx.Client(base_url=self.url, verify=context, timeout=30)
        wanted = httpx.codes.OK if self.loads else httpx.codes.UNAUTHORIZED
        base.wait_until(lambda: self._status() == wanted, process)
        return time.perf_counter() - began

    def fill(self) -> None:
        """Make an application with an access policy, keys and secrets."""
        made = json.loads(self._run("app", "create", "load", "--json"))
        access = ["access", "set", "--vault", "dev", "--principal", made["object_id"]]
        for option, permissions in _GRANTS:
            access += [option, *permissions]
        self._run(*access)
        self.object_id = made["object_id"]
        self._token = self._ask_token(made["client_id"], made["client_secret"])
        for key, wanted in _KEYS:
            self._keys[key] = self._use("POST", f"/keys/{key}/create", wanted)["key"]
        for n in range(base.SECRETS):
            self._use("PUT", f"/secrets/read-{n}", {"value": base.SECRET_VALUE})
        self._make_loads()

    def check(self, operation: str) -> None:
        """Run one operation and check its answer.

        Raises:
            AssertionError: the answer is not right.
            cryptography.exceptions.InvalidSignature: the signature is not right.
        """
        load = self.loads[operation]
        body = json.loads(load.body.replace("{n}", "7")) if load.body else None
        answer = self._use(load.method, load.path.replace("{n}", "7").split("?")[0], body)
        digest = hashlib.sha256(base.MESSAGE).digest()
        if operation in (base.READ_ONE, base.READ_MANY, base.WRITE):
            assert answer["value"] == base.SECRET_VALUE
        elif operation == base.ENCRYPT:
            sealed = {
                "alg": "A256GCM",
                "value": answer["value"],
                "iv": answer["iv"],
                "tag": answer["tag"],
            }
            opened = self._use("POST", f"{self._key_path('aes')}/decrypt", sealed)
            assert _bytes(opened["value"]) == base.PLAINTEXT
        elif operation == base.VERIFY_EC:
            assert answer["value"] is True
        elif operation == base.SIGN_EC:
            _check_ec(self._keys["ec"], _bytes(answer["value"]), digest)
        else:
            _check_rsa(self._keys["rsa"], _bytes(answer["value"]), digest)

    def audit_records(self) -> int:
        """Records of the audit, one for each answer."""
        return base.count_lines(sorted((self.data / "audit").glob("audit*.jsonl")))

    def memory(self) -> Memory:
        """Memory of the service and its worker processes now."""
        return self._running().memory()

    def processor_seconds(self) -> float:
        """CPU time that the server has used since its start."""
        return self._running().processor_seconds()

    def stop(self) -> None:
        """Stop the service."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _make_loads(self) -> None:
        digest = _text(hashlib.sha256(base.MESSAGE).digest())
        sign_ec = {"alg": "ES256", "value": digest}
        signature = self._use("POST", f"{self._key_path('ec')}/sign", sign_ec)["value"]
        verify = {"alg": "ES256", "digest": digest, "value": signature}
        encrypt = {"alg": "A256GCM", "value": _text(base.PLAINTEXT)}
        for operation, method, path, body, names in (
            (base.READ_ONE, "GET", "/secrets/read-0/", None, 1),
            (base.READ_MANY, "GET", "/secrets/read-{n}/", None, base.SECRETS),
            (base.WRITE, "PUT", "/secrets/write-{n}", {"value": base.SECRET_VALUE}, base.SECRETS),
            (base.ENCRYPT, "POST", f"{self._key_path('aes')}/encrypt", encrypt, 1),
            (base.SIGN_EC, "POST", f"{self._key_path('ec')}/sign", sign_ec, 1),
            (base.VERIFY_EC, "POST", f"{self._key_path('ec')}/verify", verify, 1),
            (
                base.SIGN_RSA,
                "POST",
                f"{self._key_path('rsa')}/sign",
                {"alg": "RS256", "value": digest},
                1,
            ),
        ):
            headers = {"Authorization": f"Bearer {self._token}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            text = "" if body is None else json.dumps(body)
            self.loads[operation] = Load(method, f"{path}?{_API}", headers, text, names)

    def _key_path(self, key: str) -> str:
        return str(httpx.URL(self._keys[key]["kid"]).path)

    def _ask_token(self, client_id: str, client_secret: str) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": f"https://vault.localhost:{self._port}/.default",
        }
        # The authority is one service with the vault; only the Host field tells them apart.
        headers = {"Host": f"login.vault.localhost:{self._port}"}
        answer = self._client().post("/adfs/oauth2/token", data=form, headers=headers)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def _environment(self) -> dict[str, str]:
        return dict(json.loads(self._run("env", "--format", "json")))

    def _run(self, *arguments: str) -> str:
        finished = subprocess.run(
            [*_program(), *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if finished.returncode:
            raise RuntimeError(f"vaultcore {arguments[0]} failed: {finished.stderr[-1000:]}")
        return finished.stdout

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("vaultcore is not running")
        return self._process

    def _client(self) -> httpx.Client:
        if self._http is None:
            raise RuntimeError("vaultcore was never started")
        return self._http

    def _status(self) -> int:
        load = self.loads.get(base.READ_ONE)
        path = load.path if load else f"/secrets/read-0/?{_API}"
        try:
            return self._client().get(path, headers=load.headers if load else {}).status_code
        except httpx.TransportError:
            return 0

    def _use(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = self._client().request(method, f"{path}?{_API}", json=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()


def _program() -> list[str]:
    beside = Path(sys.executable).with_name("vaultcore")
    if beside.exists():
        return [str(beside)]
    return [sys.executable, "-c", "from vaultcore.cli import main; main()"]


def _check_ec(jwk: dict[str, Any], signature: bytes, digest: bytes) -> None:
    numbers = ec.EllipticCurvePublicNumbers(_int(jwk["x"]), _int(jwk["y"]), ec.SECP256R1())
    if len(signature) != 64:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    numbers.public_key().verify(
        utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    )


def _check_rsa(jwk: dict[str, Any], signature: bytes, digest: bytes) -> None:
    numbers = rsa.RSAPublicNumbers(_int(jwk["e"]), _int(jwk["n"]))
    numbers.public_key().verify(
        signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256())
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _int(text: str) -> int:
    return int.from_bytes(_bytes(text))
