"""What hangs holds up itself alone: a token, an issuer of tokens, the making of keys."""

import asyncio
import base64
import functools
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import vaultcore
from vaultcore import Engine
from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.access.trust import TrustedIssuer
from vaultcore.objects.keys import KeyRules
from vaultcore.operations import pools
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.service.app import build_application
from vaultcore.service.front import Front

DIGEST = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
VERSION = "?api-version=7.6"
TOKEN_SECONDS = 1.5


class Service:
    """The data plane of an engine, asked without a network."""

    def __init__(self, engine: Engine, front: Front) -> None:
        self.engine = engine
        self.front = front
        self.bearer = secrets.token_urlsafe(32)
        engine.gate.remember(self.bearer, engine.administrator(), time.time() + 600, 0.0)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.front, client=("192.0.2.1", 1)),
            base_url="https://dev.vault.localhost",
            timeout=60,
        )

    async def post(
        self, client: httpx.AsyncClient, path: str, body: object, bearer: str = ""
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {bearer or self.bearer}"}
        return await client.post(f"/keys/{path}{VERSION}", json=body, headers=headers)

    async def sign(self, client: httpx.AsyncClient, key: str, bearer: str = "") -> httpx.Response:
        return await self.post(client, f"{key}/sign", {"alg": "RS256", "value": DIGEST}, bearer)

    @property
    def token(self) -> Token:
        keys = self.engine.key_ring.hsm()
        assert keys is not None
        token = keys._token  # type: ignore[attr-defined]
        assert isinstance(token, Token)
        return token

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """The token's worker stands still; a worker that takes its place does not."""
        (pid,) = self.token.workers
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in self.token.workers:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Service]:
    with vaultcore.create(folder, housekeeping=False, **settings) as engine:
        engine.management.vault_create(name="dev", sku="premium")
        front = build_application(engine)
        service = Service(engine, front)
        door = engine.vault("dev").acting_as(engine.administrator())
        door.keys.create("soft", "RSA")
        yield service
        front.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "data") as made:
        yield made


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Service]:
    if softhsm.find_module() is None:
        pytest.skip("SoftHSM is not installed: install the package softhsm2")
    # Two protectors, so that nothing but keys in the token depends on it.
    protectors = [ProtectorOptions("hsm", "softhsm"), ProtectorOptions("file", "file")]
    with serving(tmp_path / "data", protectors=protectors) as made:
        door = made.engine.vault("dev").acting_as(made.engine.administrator())
        door.keys.create("hard", "RSA-HSM")
        made.token._deadline = TOKEN_SECONDS
        yield made


def test_a_hanging_token_holds_up_no_software_key(hsm: Service) -> None:
    async def scenario() -> None:
        async with hsm.client() as client:
            with hsm.hanging():
                hard = [asyncio.create_task(hsm.sign(client, "hard")) for _ in range(20)]
                await asyncio.sleep(0.1)  # they are under way
                soft = await asyncio.gather(*(hsm.sign(client, "soft") for _ in range(20)))
                assert [answer.status_code for answer in soft] == [200] * 20
                assert not any(task.done() for task in hard), "the token still hangs"
                answers = await asyncio.gather(*hard)
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}

    asyncio.run(scenario())


def test_calls_of_a_token_end_at_the_deadline_that_began_when_they_were_queued(
    hsm: Service,
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        async def timed(client: httpx.AsyncClient) -> float:
            started = loop.time()
            assert (await hsm.sign(client, "hard")).status_code == 503
            return loop.time() - started

        async with hsm.client() as client:
            with hsm.hanging():
                took = await asyncio.gather(*(timed(client) for _ in range(30)))
        # One after the other, each with a deadline of its own, the last would take 45 s.
        assert max(took) < TOKEN_SECONDS * 5

    asyncio.run(scenario())


def test_after_a_missed_deadline_the_token_is_asked_again_by_itself(hsm: Service) -> None:
    async def scenario() -> list[int]:
        found: list[int] = []
        async with hsm.client() as client:
            with hsm.hanging():
                assert (await hsm.sign(client, "hard")).status_code == 503
            # The next worker is sound: calls are refused until it has opened the token.
            expires = time.monotonic() + 20
            while not found or (found[-1] != 200 and time.monotonic() < expires):
                found.append((await hsm.sign(client, "hard")).status_code)
                await asyncio.sleep(0.01)
            found.append((await hsm.sign(client, "hard")).status_code)
        return found

    found = asyncio.run(scenario())
    assert set(found[:-2]) == {503}
    assert found[-2:] == [200, 200]


def test_a_full_queue_of_a_token_is_refused_at_once(
    hsm: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "HSM_WAITING", 3)

    async def scenario() -> None:
        async with hsm.client() as client:
            with hsm.hanging():
                first = [asyncio.create_task(hsm.sign(client, "hard")) for _ in range(4)]
                await asyncio.sleep(0.1)
                answer = await hsm.sign(client, "hard")
                assert not any(task.done() for task in first)
                await asyncio.gather(*first)
            assert answer.status_code == 503

    asyncio.run(scenario())


def test_a_queue_that_the_deadline_would_cut_off_is_refused_at_once(hsm: Service) -> None:
    async def scenario() -> None:
        keys = hsm.engine.key_ring.hsm()
        assert keys is not None
        waiting = pools.Pools()
        slow = functools.partial(time.sleep, 0.4)
        await waiting.ask(keys, slow, changes=False)
        await waiting.ask(keys, slow, changes=False)  # a call is known to take a while by now
        tasks = [asyncio.create_task(waiting.ask(keys, slow, changes=False)) for _ in range(40)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        refused = [task for task in done if task.exception() is not None]
        assert refused, "those at the end are told first that they would wait in vain"
        assert tasks[0] not in done
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[0] is None
        waiting.close()

    asyncio.run(scenario())


def test_a_purge_stands_though_the_token_hangs(
    hsm: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        headers = {"authorization": f"Bearer {hsm.bearer}"}
        async with hsm.client() as client:
            await client.delete(f"/keys/hard{VERSION}", headers=headers)
            with hsm.hanging():
                answer = await client.delete(f"/deletedkeys/hard{VERSION}", headers=headers)
            assert answer.status_code == 204
            gone = await client.get(f"/deletedkeys/hard{VERSION}", headers=headers)
            assert gone.status_code == 404

    asyncio.run(scenario())
    assert "was purged, but its key pair stays in the HSM" in caplog.text


class _Silent:
    """A host that leaves whoever calls without an answer: its queue of connections is full."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = self._listener.getsockname()
        self.url = f"https://127.0.0.1:{address[1]}"
        self._callers: list[socket.socket] = []
        for _ in range(8):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(address)
            self._callers.append(caller)

    def close(self) -> None:
        for each in (*self._callers, self._listener):
            each.close()


@pytest.fixture
def silent() -> Iterator[_Silent]:
    host = _Silent()
    yield host
    host.close()


class _HurriedKeys(RemoteKeys):
    DEADLINE = 1.5
    RETRY_AFTER = 0.1


def _token(issuer: str, kid: str = "one") -> str:
    now = int(time.time())
    claims = {
        "iss": issuer, "aud": "https://vault.localhost", "sub": "robot",
        "iat": now, "exp": now + 600,
    }  # fmt: skip
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": kid})


def test_an_issuer_that_hangs_holds_up_its_own_tokens_once(
    service: Service, silent: _Silent
) -> None:
    keys = _HurriedKeys(silent.url)
    service.engine.trust(
        [
            TrustedIssuer(
                name="silent",
                issuer=silent.url,
                audiences=frozenset({"https://vault.localhost"}),
                keys=keys,
                object_id_prefix="silent:",
            )
        ]
    )

    async def scenario() -> None:
        async with service.client() as client:
            stuck = [
                asyncio.create_task(service.sign(client, "soft", _token(silent.url, f"k{n}")))
                for n in range(20)
            ]
            await asyncio.sleep(0.1)
            soft = await asyncio.gather(*(service.sign(client, "soft") for _ in range(20)))
            assert [answer.status_code for answer in soft] == [200] * 20
            assert not any(task.done() for task in stuck), "the issuer still hangs"
            assert {answer.status_code for answer in await asyncio.gather(*stuck)} == {503}
            assert keys.fetches == 1
            # From now on nobody waits for it, though it is asked again and hangs again.
            await asyncio.sleep(keys.RETRY_AFTER)
            for number in range(20):
                answer = await service.sign(client, "soft", _token(silent.url, f"n{number}"))
                assert answer.status_code == 503
            assert keys.fetches == 2
            assert keys._flight is not None
            assert not keys._flight.done(), "all of them were answered during one fetch"

    asyncio.run(scenario())
    keys.fetch()  # waits for its end


MADE: dict[str, tuple[dict[str, Any], bool]] = {
    "RSA": ({"kty": "RSA"}, True),
    "RSA with the letters EC": ({"kty": "RSA", "tags": {"note": "EC"}}, True),
    "RSA with EC before it": ({"tags": {"EC": "x"}, "kty": "RSA"}, True),
    "RSA, escaped": ({"kty": "\\u0052SA", "tags": {"note": "EC"}}, True),
    "EC": ({"kty": "EC"}, False),
    "EC with the letters HSM": ({"kty": "EC", "tags": {"note": "RSA-HSM"}}, False),
    "oct": ({"kty": "oct"}, False),
}


@pytest.mark.parametrize("case", MADE)
def test_rsa_keys_are_never_made_on_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    body, leaves = MADE[case]
    threads: list[int] = []
    create: Callable[..., Any] = KeyRules.plan_creation

    def watched(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.get_ident())
        return create(*arguments, **named)

    monkeypatch.setattr(KeyRules, "plan_creation", watched)
    text = json.dumps(body).replace("\\\\u", "\\u")

    async def scenario() -> bool:
        async with service.client() as client:
            headers = {"authorization": f"Bearer {service.bearer}"}
            answer = await client.post(f"/keys/made/create{VERSION}", content=text, headers=headers)
            assert answer.status_code == 200, answer.text
            again = await client.post(f"/keys/made/rotate{VERSION}", headers=headers)
            assert again.status_code == 200, again.text
        return all(thread != threading.get_ident() for thread in threads)

    assert asyncio.run(scenario()) == leaves
    assert len(threads) == 2


def test_a_key_goes_where_its_type_says(hsm: Service) -> None:
    """In the token by the body that was decoded, and where there is none, nothing waits for it."""
    asked: list[bool] = []
    ask = pools.Pools.ask

    async def watched(self: pools.Pools, *arguments: Any, changes: bool) -> Any:
        asked.append(changes)
        return await ask(self, *arguments, changes=changes)

    async def scenario() -> None:
        async with hsm.client() as client:
            for body, calls in (
                ({"kty": "EC-HSM"}, [True]),
                ({"kty": "EC", "tags": {"a": "EC-HSM"}}, []),
                ({"kty": "RSA", "tags": {"a": "HSM"}}, []),
            ):
                asked.clear()
                answer = await hsm.post(client, "made/create", body)
                assert answer.status_code == 200, answer.text
                assert asked == calls
            asked.clear()
            for operation, body in (
                ("sign", {"alg": "RS256", "value": DIGEST}),
                ("wrapkey", {"alg": "RSA-OAEP", "value": DIGEST}),
            ):
                assert (await hsm.post(client, f"hard/{operation}", body)).status_code == 200
            assert asked == [False, False]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools.Pools, "ask", watched)
        asyncio.run(scenario())
