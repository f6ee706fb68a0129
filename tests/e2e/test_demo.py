"""The demonstration tells its whole story, and notices when a step does not do what it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaultcore.protectors.pkcs11 import softhsm

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


def run(script: str | Path, *words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    # The demonstration must not need anything of this process's environment.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    finished = subprocess.run(
        [sys.executable, str(script), *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=inherited | (env or {}),
    )
    assert finished.stderr == ""
    return finished.returncode, finished.stdout


def test_the_story_is_told_to_its_end() -> None:
    status, story = run(DEMO)
    assert status == 0, story
    assert "steps did what they should" in story
    assert "SecretDisabled" in story
    assert "ForbiddenByFirewall" in story
    assert "does not verify" in story
    token = softhsm.find_module() is not None
    assert ("wrapped by a PKCS#11 token" in story) == token
    # Colours are for terminals.
    assert "\x1b" not in story


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ('403,\n            "ForbiddenByFirewall"', '403,\n            "AccessDenied"'),
        ('VALUE + " 2")\n        self.expected.append(("SecretSet", 200))', 'VALUE + " 2")'),
    ],
)
def test_a_step_that_goes_wrong_ends_it(line: str, broken: str, tmp_path: Path) -> None:
    text = DEMO.read_text()
    assert text.count(line) == 1
    script = tmp_path / "demo.py"
    script.write_text(text.replace(line, broken))
    status, story = run(script)
    assert status == 1, story
    assert "failed" in story
    assert "steps did what they should" not in story
