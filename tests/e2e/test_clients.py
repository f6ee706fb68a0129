"""The unmodified Azure SDKs against `vaultcore dev`, told where it is by `vaultcore env` alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "clients"
SECRET_PERMISSIONS = ("get", "list", "set", "delete", "recover", "purge")
KEY_PERMISSIONS = (
    *("get", "list", "create", "sign", "verify"),
    *("encrypt", "decrypt", "wrapKey", "unwrapKey"),
)
STEPS = 25
AZ_STEPS = 14


@dataclass(frozen=True)
class Service:
    data: Path
    environment: dict[str, str]


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from vaultcore.cli import main; main()", *arguments]


def run(
    command: Sequence[str],
    *,
    seconds: int,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, cwd=cwd, env=env
    )
    assert finished.returncode == 0, (
        f"{command} ended with {finished.returncode}:\n{finished.stdout}\n{finished.stderr}"
    )
    return finished.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    names = subprocess.run(
        [str(ROOT / "tools" / "resolve-localhost.sh")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if names.returncode:
        pytest.skip(f"the SDKs cannot find the service: {names.stderr.strip()}")
    folder = tmp_path_factory.mktemp("clients")
    data = folder / "data"
    log = folder / "dev.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            program("dev", "--data", str(data), "--port", "0"),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        told = run(program("env", "--data", str(data), "--format", "json"), seconds=90)
        environment = json.loads(told)
        # An application of its own: the administrator of `dev` may do what the round must not.
        created = run(program("app", "create", "round", "--json", "--data", str(data)), seconds=60)
        application = json.loads(created)
        grant = ["--vault", "dev", "--principal", "round"]
        grant += ["--secret-permissions", *SECRET_PERMISSIONS]
        grant += ["--key-permissions", *KEY_PERMISSIONS]
        run(program("access", "set", *grant, "--data", str(data)), seconds=60)
        environment["AZURE_CLIENT_ID"] = application["client_id"]
        environment["AZURE_CLIENT_SECRET"] = application["client_secret"]
        yield Service(data, environment)
    finally:
        server.terminate()
        server.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


def check_round(
    service: Service, command: Sequence[str], *, steps: int = STEPS, **more: str
) -> None:
    # Nothing of this process's own environment tells a client where to go or whom to trust.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    printed = run(command, seconds=150, env=inherited | service.environment | more)
    lines = [line for line in printed.splitlines() if line.startswith("ok ")]
    assert printed.splitlines()[-1] == "done"
    assert len(lines) == steps, printed


def tool(name: str, needed_for: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed, which the round in {needed_for} is built with")
    return found


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_python(service: Service, kind: str) -> None:
    check_round(service, [sys.executable, str(CLIENTS / "python" / f"{kind}_round.py")])


def test_go(service: Service, tmp_path: Path) -> None:
    go = tool("go", "Go")
    binary = tmp_path / "round"
    run([go, "build", "-o", str(binary), "."], seconds=280, cwd=CLIENTS / "go")
    check_round(service, [str(binary)])


def test_javascript(service: Service, tmp_path: Path) -> None:
    npm, node = tool("npm", "JavaScript"), tool("node", "JavaScript")
    folder = tmp_path / "js"
    shutil.copytree(CLIENTS / "js", folder, ignore=shutil.ignore_patterns("node_modules"))
    options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    run([npm, "ci", *options], seconds=200, cwd=folder)
    check_round(service, [node, str(folder / "main.js")])


def test_java(service: Service, tmp_path: Path) -> None:
    mvn, java = tool("mvn", "Java"), tool("java", "Java")
    folder = tmp_path / "java"
    shutil.copytree(CLIENTS / "java", folder, ignore=shutil.ignore_patterns("target"))
    run([mvn, "-q", "-B", "package"], seconds=280, cwd=folder)
    trust = service.data / "tls" / "truststore.p12"
    options = f"-Djavax.net.ssl.trustStore={trust} -Djavax.net.ssl.trustStorePassword=changeit"
    check_round(
        service,
        [java, "-jar", str(folder / "target" / "client-round.jar")],
        JAVA_TOOL_OPTIONS=options,
    )


def test_az(service: Service) -> None:
    # Not among the components of the tests: its installation takes 700 MB.
    az = os.environ.get("AZURE_CLI") or shutil.which("az")
    if az is None:
        pytest.skip("the Azure CLI is neither on PATH as az nor named by AZURE_CLI")
    check_round(service, [str(CLIENTS / "az" / "round.sh")], steps=AZ_STEPS, AZURE_CLI=az)
