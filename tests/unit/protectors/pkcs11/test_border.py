"""The border between the service and its workers: each side imports nothing of the other."""

import ast
import subprocess
import sys
from pathlib import Path

import vaultcore

PACKAGE = Path(vaultcore.__file__).parent
WORKER = "vaultcore.protectors.pkcs11.worker"
#: What both sides import of the package.
SHARED = {"vaultcore.protectors.pkcs11.algorithms", "vaultcore.protectors.pkcs11.messages"}
SERVICE = f"""
import importlib, pkgutil, sys
import vaultcore
for found in pkgutil.walk_packages(vaultcore.__path__, "vaultcore."):
    if not found.name.startswith({WORKER!r}):
        importlib.import_module(found.name)
print(*sys.modules)
"""
WORKERS = f"""
import sys
import {WORKER}.main
print(*sys.modules)
"""


def loaded_by(program: str) -> set[str]:
    """Returns the modules that a fresh interpreter has after a program."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def imports_of(path: Path) -> set[str]:
    """Returns what a file imports, those within a function too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_the_service_loads_neither_python_pkcs11_nor_the_code_of_the_worker() -> None:
    loaded = loaded_by(SERVICE)
    assert "vaultcore.service.app" in loaded
    assert "vaultcore.protectors.pkcs11.token" in loaded
    assert "pkcs11" not in loaded
    assert not {name for name in loaded if name.startswith(f"{WORKER}.")}


def test_no_function_of_the_service_imports_them_later() -> None:
    seen = 0
    for path in PACKAGE.rglob("*.py"):
        if PACKAGE / "protectors" / "pkcs11" / "worker" in path.parents:
            continue
        seen += 1
        for name in imports_of(path):
            assert name.partition(".")[0] != "pkcs11", path
            assert not name.startswith(WORKER), path
    assert seen > 100


def test_a_worker_loads_nothing_that_talks_to_it() -> None:
    loaded = {name for name in loaded_by(WORKERS) if name.startswith("vaultcore.protectors.")}
    ours = {name for name in loaded if name == WORKER or name.startswith(f"{WORKER}.")}
    assert ours
    assert loaded - ours - {"vaultcore.protectors.pkcs11"} == SHARED


def test_a_worker_does_not_wait_for_a_database_or_a_server_to_load() -> None:
    assert not loaded_by(WORKERS) & {"sqlalchemy", "starlette", "granian", "httpx", "typer"}
