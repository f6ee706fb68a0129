import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token

SHIM = Path(__file__).parents[3] / "shim" / "pkcs11_shim.c"
Open = Callable[..., Token]


@pytest.fixture(scope="session")
def module() -> Path:
    found = softhsm.find_module()
    if found is None:
        pytest.skip("SoftHSM is not installed: install the package softhsm2")
    return found


@pytest.fixture(scope="module")
def soft_token(module: Path, tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """A token that the tests of one file share; for tests that do not harm it."""
    return softhsm.make(tmp_path_factory.mktemp("token"), module=module)


@pytest.fixture(scope="module")
def token(soft_token: SoftToken) -> Iterator[Token]:
    token = soft_token.token()
    yield token
    token.close()


@pytest.fixture
def own_token(module: Path, tmp_path: Path) -> SoftToken:
    """A token of this test alone, to be destroyed, moved and exchanged."""
    return softhsm.make(tmp_path / "own", module=module)


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens a token with other settings than usual and closes it after the test."""
    made: list[Token] = []

    def open_token(soft: SoftToken, **changes: Any) -> Token:
        settings: dict[str, Any] = {
            "module": soft.module,
            "label": soft.label,
            "serial": soft.serial,
            "pin_file": soft.pin_file,
            "environment": soft.environment,
            "pause": 0.05,
        }
        made.append(Token(**(settings | changes)))
        return made[-1]

    yield open_token
    for token in made:
        token.close()


class Shim:
    """The fault-injecting module in front of SoftHSM."""

    def __init__(self, library: Path, module: Path, folder: Path) -> None:
        self.library = library
        self.plan = folder / "plan"
        self.log = folder / "log"
        self.environment = {
            "VAULTCORE_SHIM_MODULE": str(module),
            "VAULTCORE_SHIM_PLAN": str(self.plan),
            "VAULTCORE_SHIM_LOG": str(self.log),
        }

    def fail(self, function: str, nth: int, action: str) -> None:
        draft = self.plan.with_suffix(".draft")
        draft.write_text(f"{function} {nth} {action}\n")
        draft.rename(self.plan)

    def heal(self) -> None:
        self.plan.unlink(missing_ok=True)

    def calls(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SHIM, "-ldl"], check=True)
    return library


@pytest.fixture
def shim(shim_library: Path, module: Path, tmp_path: Path) -> Shim:
    return Shim(shim_library, module, tmp_path)


@pytest.fixture
def shimmed(shim: Shim, soft_token: SoftToken, opened: Open) -> Open:
    def open_token(**changes: Any) -> Token:
        environment = {**soft_token.environment, **shim.environment}
        return opened(soft_token, module=shim.library, environment=environment, **changes)

    return open_token


@pytest.fixture
def own_shimmed(shim: Shim, own_token: SoftToken, opened: Open) -> Open:
    def open_token(**changes: Any) -> Token:
        environment = {**own_token.environment, **shim.environment}
        return opened(own_token, module=shim.library, environment=environment, pause=0.0, **changes)

    return open_token


@pytest.fixture(scope="module")
def protector(token: Token) -> Pkcs11Protector:
    return Pkcs11Protector.create(token, key_label="shared")


@pytest.fixture
def in_token(own_token: SoftToken) -> Callable[[str], Any]:
    """Runs Python with a session `s` with the token, in a process of its own; prints JSON."""

    def run(code: str) -> Any:
        program = (
            "import json, pkcs11\n"
            "from pkcs11 import Attribute, KeyType, ObjectClass\n"
            f"m = pkcs11.lib({str(own_token.module)!r})\n"
            f"t = m.get_token(token_label={own_token.label!r})\n"
            f"s = t.open(rw=True, user_pin=open({str(own_token.pin_file)!r}).read())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program + code],
            env=dict(own_token.environment),
            capture_output=True,
            check=True,
            text=True,
        )
        return json.loads(done.stdout) if done.stdout else None

    return run
