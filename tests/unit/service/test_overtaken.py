"""A revocation holds for what was admitted before it, and has not been done yet."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

import vaultcore
from unit.service.running import DOMAIN, Said, Service, read
from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.clock import ManualClock
from vaultcore.encoding import encode_base64url
from vaultcore.engine import guarded
from vaultcore.errors import ForbiddenError, NotFoundError, UnavailableError
from vaultcore.objects.usable_key import UsableKey
from vaultcore.service.exchange import Exchange
from vaultcore.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    import socket

HOST = b"Host: dev." + DOMAIN.encode()
VALUE = b'{"value":"overtaken"}'
ALL = ["get", "list", "delete", "recover", "backup", "restore"]


class Robot:
    """An application with permissions in the vault ``dev``."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.management = service.engine.management
        made = self.management.app_create(name="robot")
        self.object_id: str = made["object_id"]
        self.client_id: str = made["client_id"]
        self.management.access_set(
            vault="dev",
            principal=self.object_id,
            secret_permissions=[*ALL, "set"],
            key_permissions=[*ALL, "create", "update", "decrypt", "sign", "import", "rotate"],
        )
        self.header = service.bearer(made["client_id"], made["client_secret"])

    def revoke(self) -> None:
        self.management.access_remove(vault="dev", principal=self.object_id)

    def begin(self, line: bytes, body: bytes) -> "Begun":
        """Sends a request but for the last byte of its body."""
        return Begun(self.service, (line, HOST, self.header), body)


@contextmanager
def body_is_wanted() -> Iterator[threading.Event]:
    """Yields what is set when a request has passed the gate and waits for its body."""
    asked = threading.Event()
    body, let_in = Exchange.body, Exchange.let_in

    async def noticed_body(exchange: Exchange, *arguments: Any) -> bytes:
        asked.set()
        return await body(exchange, *arguments)

    async def noticed_let_in(exchange: Exchange) -> None:
        asked.set()
        await let_in(exchange)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchange, "body", noticed_body)
        patch.setattr(Exchange, "let_in", noticed_let_in)
        yield asked


class Begun:
    """A request whose last byte is still to come."""

    def __init__(self, service: Service, head: tuple[bytes, ...], body: bytes) -> None:
        self._last = body[-1:]
        self._connection: socket.socket = service.connect()
        lines = (*head, b"Content-Length: %d" % len(body))
        with body_is_wanted() as asked:
            self._connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body[:-1])
            assert asked.wait(10), "the request did not pass the gate"

    def finish(self) -> Said:
        with self._connection as connection:
            connection.sendall(self._last)
            return read(connection)


@pytest.fixture
def robot(service: Service) -> Robot:
    service.engine.vault("dev").acting_as(service.engine.administrator()).secrets.set("old", "v")
    return Robot(service)


def deny(robot: Robot) -> None:
    robot.management.firewall_set(vault="dev", default_action="Deny")


def forget(robot: Robot) -> None:
    robot.management.app_delete(name="robot")


def remove(robot: Robot) -> None:
    admin = robot.service.engine.vault("dev").acting_as(robot.service.engine.administrator())
    admin.secrets.delete("old")
    admin.secrets.purge("old")
    robot.management.vault_delete(name="dev")


def replace(robot: Robot) -> None:
    """The vault goes, and another comes in its name that the robot may do everything in."""
    remove(robot)
    robot.management.vault_create(name="dev")
    robot.management.access_set(
        vault="dev", principal=robot.object_id, secret_permissions=[*ALL, "set"]
    )


REVOCATIONS: dict[str, tuple[Callable[[Robot], None], int]] = {
    "permission": (Robot.revoke, 403),
    "firewall": (deny, 403),
    "application": (forget, 401),
    "vault": (remove, 404),
    "vault of the same name": (replace, 404),
}


@pytest.mark.parametrize("case", REVOCATIONS)
def test_what_was_revoked_while_the_body_came_in_is_not_done(
    service: Service, robot: Robot, case: str
) -> None:
    revoke, status = REVOCATIONS[case]
    begun = robot.begin(b"PUT /secrets/late?api-version=7.4 HTTP/1.1", VALUE)
    revoke(robot)
    answer = begun.finish()
    assert answer.status == status, answer
    assert service.records()[-1]["properties"]["httpStatusCode"] == status
    if "vault" not in case:
        with pytest.raises(NotFoundError):
            service.engine.state("dev").rules["secrets"].find("LATE")


def test_a_body_that_nobody_wants_does_not_hold_a_secret_back(
    service: Service, robot: Robot
) -> None:
    begun = robot.begin(b"GET /secrets/old?api-version=7.4 HTTP/1.1", b"{}")
    robot.revoke()
    answer = begun.finish()
    assert (answer.status, answer.error["innererror"]["code"]) == (403, "AccessDenied")


def test_a_key_that_was_purged_while_the_body_came_in_is_not_used(
    service: Service, robot: Robot, clock: ManualClock
) -> None:
    admin = service.engine.vault("dev").acting_as(service.engine.administrator())
    admin.keys.create("ec", "EC")
    body = b'{"alg":"ES256","value":"' + b"A" * 43 + b'"}'
    line = b"POST /keys/ec//sign?api-version=7.4 HTTP/1.1"
    assert robot.begin(line, body).finish().status == 200
    begun = robot.begin(line, body)
    # Another process does it, so that nothing here has noticed when the body is complete.
    with vaultcore.open(service.engine.data, clock=clock, housekeeping=False) as other:
        keys = other.vault("dev").acting_as(other.administrator()).keys
        keys.delete("ec")
        keys.purge("ec")
    assert begun.finish().error["code"] == "KeyNotFound"


# the queue of the writer


@contextmanager
def busy_writer(engine: Engine) -> Iterator[None]:
    """Holds up the writer, so that what is written meanwhile waits."""
    entered, released = threading.Event(), threading.Event()

    def block(_: Any) -> None:
        entered.set()
        assert released.wait(30)

    future = engine.store.submit(block)
    assert entered.wait(10)
    try:
        yield
    finally:
        released.set()
        future.result(30)


def in_background(act: Callable[[], Any]) -> Callable[[], Any]:
    """Starts a thread, and returns what waits for its result or error."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(act())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> Any:
        thread.join(30)
        (found,) = outcome
        return found

    return wait


def queued(engine: Engine, count: int) -> None:
    """Waits until so many works are in the queue of the writer."""
    assert isinstance(engine.store, SqliteStore)
    for _ in range(1000):
        if engine.store._writer._queue.qsize() >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("nothing came into the queue of the writer")


def test_a_write_that_stands_behind_a_revocation_is_not_done(
    service: Service, robot: Robot
) -> None:
    engine = service.engine
    since = len(service.records())
    with busy_writer(engine):
        revoked = in_background(robot.revoke)
        queued(engine, 1)
        head = (b"PUT /secrets/late?api-version=7.4 HTTP/1.1", HOST, robot.header)
        length = b"Content-Length: %d" % len(VALUE)
        written = in_background(lambda: service.ask(*head, length, body=VALUE))
        queued(engine, 2)
    assert revoked() is None or isinstance(revoked(), dict)
    answer = written()
    assert (answer.status, answer.error["innererror"]["code"]) == (403, "AccessDenied")
    with pytest.raises(NotFoundError):
        engine.state("dev").rules["secrets"].find("LATE")
    told = [(r["operationName"], r["resultType"]) for r in service.records()[since:]]
    assert sorted(told) == [("SecretSet", "Failure"), ("VaultPatch", "Success")]


def test_a_write_in_process_that_stands_behind_a_revocation_is_not_done(
    engine: Engine,
) -> None:
    robot = Principal(object_id="99999999-8888-7777-6666-555555555555")
    engine.management.access_set(
        vault="dev", principal=robot.object_id, secret_permissions=["set", "get"]
    )
    door = engine.vault("dev").acting_as(robot).secrets
    with busy_writer(engine):
        revoked = in_background(
            lambda: engine.management.access_remove(vault="dev", principal=robot.object_id)
        )
        queued(engine, 1)
        written = in_background(lambda: door.set("late", "value"))
        queued(engine, 2)
    assert isinstance(revoked(), dict)
    assert isinstance(written(), ForbiddenError)
    with pytest.raises(NotFoundError):
        engine.state("dev").rules["secrets"].find("LATE")


def test_a_write_that_stands_before_a_revocation_is_done(engine: Engine) -> None:
    robot = Principal(object_id="99999999-8888-7777-6666-555555555555")
    engine.management.access_set(vault="dev", principal=robot.object_id, secret_permissions=["set"])
    door = engine.vault("dev").acting_as(robot).secrets
    with busy_writer(engine):
        written = in_background(lambda: door.set("early", "value"))
        queued(engine, 1)
        revoked = in_background(
            lambda: engine.management.access_remove(vault="dev", principal=robot.object_id)
        )
        queued(engine, 2)
    assert isinstance(revoked(), dict)
    assert written().name == "early"


def test_writers_of_objects_do_not_hold_each_other_up(engine: Engine) -> None:
    door = engine.vault("dev").acting_as(engine.administrator()).secrets
    with busy_writer(engine):
        written = [in_background(partial(door.set, f"s{n}", "v")) for n in range(5)]
        queued(engine, 5)
        before = engine.store.revision()
    assert [wait().name for wait in written]
    # Each is one change, and none was put off: they share one commit.
    assert engine.store.revision() == before + 5


def test_a_write_does_not_step_back_for_ever(engine: Engine) -> None:
    tried = 0

    def change(transaction: Any) -> None:
        transaction.kinds.add("vaults")

    def count() -> None:
        nonlocal tried
        tried += 1

    def always_behind(transaction: Any) -> None:
        change(transaction)
        guarded.guarded(lambda _: None, count)(transaction)

    with pytest.raises(UnavailableError, match="try again later"):
        guarded.write(engine.store, always_behind)
    assert tried == guarded.ATTEMPTS


# the slow pool, and the token


@contextmanager
def paused(monkeypatch: pytest.MonkeyPatch, target: Any, name: str) -> Iterator[Callable[[], None]]:
    """Holds up a function before it does anything; yields what waits until it was entered."""
    entered, released = threading.Event(), threading.Event()
    real = getattr(target, name)

    def held(*arguments: Any, **options: Any) -> Any:
        entered.set()
        assert released.wait(30)
        return real(*arguments, **options)

    monkeypatch.setattr(target, name, held)
    try:
        yield lambda: _entered(entered)
    finally:
        released.set()
        monkeypatch.setattr(target, name, real)


def _entered(event: threading.Event) -> None:
    assert event.wait(10)


@pytest.fixture
def decrypting(service: Service, robot: Robot) -> Callable[[], Said]:
    """Decrypts with a key of RSA, which is done on the slow pool."""
    admin = service.engine.vault("dev").acting_as(service.engine.administrator())
    admin.keys.create("rsa", "RSA")
    sealed = admin.keys.encrypt("rsa", "RSA-OAEP-256", b"plain").ciphertext
    body = b'{"alg":"RSA-OAEP-256","value":"%s"}' % encode_base64url(sealed).encode()
    head = (b"POST /keys/rsa//decrypt?api-version=7.4 HTTP/1.1", HOST, robot.header)
    return lambda: service.ask(*head, b"Content-Length: %d" % len(body), body=body)


def purge(robot: Robot) -> None:
    admin = robot.service.engine.vault("dev").acting_as(robot.service.engine.administrator())
    admin.keys.delete("rsa")
    admin.keys.purge("rsa")


def disable(robot: Robot) -> None:
    admin = robot.service.engine.vault("dev").acting_as(robot.service.engine.administrator())
    admin.keys.update("rsa", enabled=False)


def rotate(robot: Robot) -> None:
    admin = robot.service.engine.vault("dev").acting_as(robot.service.engine.administrator())
    admin.keys.rotate("rsa")


OVERTAKEN: dict[str, tuple[Callable[[Robot], None], int]] = {
    "permission": (Robot.revoke, 403),
    "application": (forget, 401),
    "key purged": (purge, 404),
    "key disabled": (disable, 403),
    "key rotated": (rotate, 200),
}


@pytest.mark.parametrize("case", OVERTAKEN)
def test_an_answer_that_was_overtaken_while_the_key_worked_does_not_leave(
    service: Service,
    robot: Robot,
    decrypting: Callable[[], Said],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    revoke, status = OVERTAKEN[case]
    assert decrypting().status == 200
    with paused(monkeypatch, UsableKey, "decrypt") as entered:
        answered = in_background(decrypting)
        entered()
        revoke(robot)
    answer = answered()
    assert answer.status == status, answer
    assert service.records()[-1]["properties"]["httpStatusCode"] == status


def test_what_waited_for_the_slow_pool_is_not_done_after_a_revocation(
    service: Service,
    robot: Robot,
    decrypting: Callable[[], Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert decrypting().status == 200
    used: list[str] = []
    real = UsableKey.decrypt

    def decrypt(*arguments: Any) -> bytes:
        used.append("decrypt")
        return real(*arguments)

    monkeypatch.setattr(UsableKey, "decrypt", decrypt)
    entered, released = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        assert released.wait(30)

    pool = service.slow_pool
    blockers = [pool.submit(block) for _ in range(pool._max_workers)]
    assert entered.wait(10)
    answered = in_background(decrypting)
    for _ in range(1000):
        if pool._work_queue.qsize():
            break
        threading.Event().wait(0.01)
    robot.revoke()
    released.set()
    assert [blocker.result(30) for blocker in blockers]
    answer = answered()
    assert answer.status == 403, answer
    assert used == [], "the key was not touched"


# the management plane


def test_a_token_that_was_revoked_while_the_body_came_in_manages_nothing(
    service: Service,
) -> None:
    engine = service.engine
    made = engine.management.app_create(name="admin")
    engine.management.access_administrator(principal=made["object_id"])
    host = f"management.{DOMAIN}"
    header = service.bearer(made["client_id"], made["client_secret"], host)
    body = b'{"name":"late"}'
    head = (b"POST /v1/vault.create HTTP/1.1", b"Host: " + host.encode(), header)
    with service.connect() as connection:
        lines = (*head, b"Content-Length: %d" % len(body))
        with body_is_wanted() as asked:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body[:-1])
            assert asked.wait(10)
        engine.management.app_delete(name="admin")
        connection.sendall(body[-1:])
        answer = read(connection)
    assert answer.status == 401, answer
    with pytest.raises(NotFoundError):
        engine.state("late")


def test_no_token_is_given_to_an_address_that_was_shut_out_while_its_form_came_in(
    service: Service,
) -> None:
    made = service.engine.management.app_create(name="late")
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "scope": f"https://{DOMAIN}/.default",
        }
    ).encode()
    head = (
        b"POST /adfs/oauth2/token HTTP/1.1",
        b"Host: login." + DOMAIN.encode(),
        b"Content-Type: application/x-www-form-urlencoded",
    )
    assert Begun(service, head, form).finish().status == 200
    begun = Begun(service, head, form)
    service.engine.management.host_firewall_set(host="issuer", default_action="deny")
    answer = begun.finish()
    assert answer.status == 403, answer
    assert b"access_token" not in answer.body
    assert service.records()[-1]["properties"]["httpStatusCode"] == 403


def test_a_removed_vault_is_not_used_in_process_under_the_name_of_another(
    engine: Engine,
) -> None:
    administrator = engine.administrator()
    old = engine.vault("dev").acting_as(administrator).secrets
    engine.management.vault_delete(name="dev")
    engine.management.vault_create(name="dev")
    with pytest.raises(NotFoundError):
        old.set("a", "into the vault that is gone")
    engine.vault("dev").acting_as(administrator).secrets.set("a", "into the one that is there")
