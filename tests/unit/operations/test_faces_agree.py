"""HTTPS, the library and the command line do the same: result, refusal, record and state."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unit.operations import hsm_rules, rules, scenarios
from unit.operations.asking import KEK, ROUTES, Ask
from unit.operations.one_form import lines
from unit.operations.prepared import NOW, Prepared, prepare, prepare_hsm, unmade
from unit.operations.three_faces import (
    HttpsError,
    Outcome,
    Scenario,
    ask_https,
    in_token,
    run,
)
from vaultcore.access.issuer import Shape
from vaultcore.clock import ManualClock
from vaultcore.errors import UnauthorizedError
from vaultcore.library.engine import LibraryEngine
from vaultcore.operations.table import ACTIONS
from vaultcore.protectors.pkcs11 import softhsm


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    with place() as made:
        yield prepare(made)


@pytest.fixture(scope="module")
def hsm() -> Iterator[Prepared]:
    if softhsm.find_module() is None:
        pytest.skip("SoftHSM is not installed: install the package softhsm2")
    with place() as made:
        yield prepare_hsm(made)


@contextmanager
def place() -> Iterator[Path]:
    # In memory, where there is such a place: opened a thousand times, a disk would take minutes.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - its own folder
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made) / "prepared"


def outcomes(prepared: Prepared, scenario: Scenario) -> dict[str, Outcome]:
    """Carries a scenario out through each of its faces, on a copy for each."""
    found = {}
    for face in scenario.faces:
        folder = prepared.copy(prepared.folder.with_name("copy"))
        try:
            found[face] = run(face, folder, ManualClock(NOW), prepared.known, scenario)
        finally:
            shutil.rmtree(folder)
    return found


def check(prepared: Prepared, scenario: Scenario) -> dict[str, Outcome]:
    found = outcomes(prepared, scenario)
    first, *others = found.items()
    for face, outcome in others:
        if scenario.unread:
            _name_the_same(first[1], outcome)
        for member in Outcome._fields:
            assert getattr(outcome, member) == getattr(first[1], member), (
                f"{face} and {first[0]} differ in: {member}"
            )
    assert first[1].status == scenario.status
    assert {name: first[1].shown[name] for name in scenario.shows} == scenario.shows
    if scenario.status >= 400:
        assert first[1].shown[1] == scenario.inner
    properties = [record["properties"] for record in first[1].records]
    assert properties, "nothing was recorded"
    assert {found["httpStatusCode"] for found in properties} == {scenario.status}
    assert {name: properties[-1].get(name) for name in scenario.record} == scenario.record
    return found


def _name_the_same(https: Outcome, other: Outcome) -> None:
    """Takes the caller from the record of a face that knows him without reading a token."""
    for record, known in zip(https.records, other.records, strict=True):
        assert record["identity"] == {}
        assert known["identity"] != {}
        known["identity"] = {}


def test_no_operation_is_left_out() -> None:
    assert set(scenarios.good(unmade())) == set(ACTIONS)
    assert set(ROUTES) | {KEK} == set(ACTIONS)
    asked = {scenario.ask.verb for _, scenario in scenarios.of_every_operation(unmade())}
    assert asked == set(ACTIONS)


@pytest.mark.parametrize(
    "named", [scenarios.of_every_operation, rules.every_rule, hsm_rules.of_hsm]
)
def test_no_scenario_hides_another(named: Callable[[Prepared], scenarios.Named]) -> None:
    names = [name for name, _ in named(unmade())]
    assert len(set(names)) == len(names)


def test_a_token_that_has_ended_is_refused_before_what_is_asked_for(
    engine: LibraryEngine, clock: ManualClock
) -> None:
    """In process it was read when the caller came, and again now; over HTTPS, with each request."""
    made = engine.management.app_create(name="robot")
    robot = engine.issuer.applications.authenticate(made["client_id"], made["client_secret"])
    assert robot is not None
    installation = engine.installation
    issued = engine.issuer.issue(
        robot, resource=installation.resource, tenant=installation.tenant_id, shape=Shape.V2
    )
    acting = engine.vault("dev").acting_as(issued.token)
    clock.advance(7 * 86_400)
    with pytest.raises(UnauthorizedError) as library:
        acting.secrets.get("un_named")
    with pytest.raises(HttpsError) as https:
        ask_https(engine, issued.token, Scenario(Ask("SecretGet", "un_named")))
    assert https.value.status == library.value.status == 401
    assert https.value.error == {"code": library.value.code, "message": library.value.public}
    codes = [json.loads(line)["properties"]["httpStatusCode"] for line in lines(engine)[-2:]]
    assert codes == [401, 401]


@pytest.mark.parametrize("name", [name for name, _ in scenarios.of_every_operation(unmade())])
def test_of_every_operation(prepared: Prepared, name: str) -> None:
    check(prepared, dict(scenarios.of_every_operation(prepared))[name])


@pytest.mark.parametrize("name", [name for name, _ in rules.every_rule(unmade())])
def test_of_every_rule(prepared: Prepared, name: str) -> None:
    check(prepared, dict(rules.every_rule(prepared))[name])


@pytest.mark.parametrize("name", [name for name, _ in hsm_rules.of_hsm(unmade())])
def test_of_keys_in_the_hsm(hsm: Prepared, name: str) -> None:
    scenario = dict(hsm_rules.of_hsm(hsm))[name]
    before = in_token(hsm.folder)
    for outcome in check(hsm, scenario).values():
        # A pair is two objects.
        gone, new = {"purge": (2, 0), "create": (0, 1), "import": (0, 1), "rotate": (0, 1)}.get(
            name, (0, 0)
        )
        assert outcome.in_token == before - 2 * gone + 2 * new
