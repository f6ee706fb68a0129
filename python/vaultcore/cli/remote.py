"""The connection to a running service, with the credentials of the environment."""

import os
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

import httpx
import msgspec

from vaultcore._core import API_VERSION
from vaultcore.cli.address import Origin, ServiceAddress, read_origin
from vaultcore.cli.outcome import CommandError, UnreachableError
from vaultcore.errors import UnauthorizedError, VaultError, VaultNotFoundError
from vaultcore.installation.hosts import MANAGEMENT_VERSION

_CREDENTIALS: Final = ("AUTHORITY_HOST", "TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
_TIMEOUT: Final = 60.0
_CHALLENGE_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')


class RemoteConnection:
    """A running service.

    Args:
        url: the address of one of its vaults, of its management plane, or of their domain.
        client: the HTTPS client.
        credentials: the variables ``AZURE_AUTHORITY_HOST`` and so on.
    """

    def __init__(self, url: str, client: httpx.Client, credentials: Mapping[str, str]) -> None:
        self._address = ServiceAddress(url, self._resource_of)
        self._client = client
        self._credentials = credentials
        self._tokens: dict[str, str] = {}

    @classmethod
    def from_environment(cls, url: str) -> Self:
        """Creates a connection with the environment's credentials and certificate authority.

        Raises:
            CommandError: a variable is missing.
        """
        names = [f"AZURE_{name}" for name in _CREDENTIALS]
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise CommandError(
                f"to talk to a service, set {' '.join(missing)}; for a development vault: "
                'eval "$(vaultcore env)"'
            )
        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
        client = httpx.Client(verify=context, timeout=_TIMEOUT, follow_redirects=False)
        return cls(url, client, {name: os.environ[name] for name in names})

    def manage(self, operation: str, /, **arguments: Any) -> Any:
        """Carries out an operation of the management plane.

        Raises:
            VaultError: it was refused.
        """
        body = {name: value for name, value in arguments.items() if value is not None}
        url = f"https://{self._address.management()}/{MANAGEMENT_VERSION}/{operation}"
        answer = self._send("POST", url, body=body)
        return answer["result"]

    def watch(self, progress: object) -> None:
        """Does nothing: operations that take long work on the folder."""

    def request(
        self,
        vault: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Sends a request of the data plane.

        Raises:
            VaultError: it was refused.
        """
        parameters = {"api-version": API_VERSION, **(query or {})}
        url = f"https://{self._address.vault(vault)}{path}"
        try:
            return self._send(method, url, query=parameters, body=body)
        except VaultError as refused:
            if refused.code != VaultNotFoundError.default_code:
                raise
            # The service speaks of its host names; the command line of vaults.
            raise VaultNotFoundError(vault) from None

    def check_place(self, vault: str, identifier: str) -> None:
        """Checks that an identifier belongs to the service that ``--url`` names.

        Raises:
            CommandError: it belongs to another service.
        """
        named = read_origin(f"https://{urlsplit(identifier).netloc}")
        ours = self._address.vault(vault)
        if named != ours:
            raise CommandError(
                f"--id is at {named}, and --url leads to {ours}: leave out one of the two, or make "
                "them agree"
            )

    def kek(self, vault: str, key: str) -> NoReturn:
        """Refuses: a key does not leave the service.

        Raises:
            CommandError: always.
        """
        raise CommandError(
            f"the key `{key[:128]}` of vault `{vault[:64]}` does not leave the service: seal and "
            "open files where the data folder is, with --data"
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _resource_of(self, origin: Origin) -> str | None:
        """Asks a host which resource its tokens are meant for, without sending any credential."""
        try:
            answer = self._exchange("GET", f"https://{origin}/")
        except UnreachableError:
            # A domain needs no address and no certificate of its own.
            return None
        return _challenge(answer).get("resource")

    def _send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        origin = url.split("/", 3)[2]
        if origin in self._tokens:
            response = self._authorized(origin, method, url, query, body)
            # A long-running command outlives its token, and then requests another.
            if response.status_code != HTTPStatus.UNAUTHORIZED:
                return _answer(response)
        # The challenge comes before the service reads anything, so nothing is sent with it.
        challenge = self._exchange(method, url, params=query)
        if challenge.status_code != HTTPStatus.UNAUTHORIZED:
            return _answer(challenge)
        self._tokens[origin] = self._token(origin, challenge)
        return _answer(self._authorized(origin, method, url, query, body))

    def _authorized(
        self,
        origin: str,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[origin]}"}
        return self._exchange(method, url, params=query, json=body, headers=headers)

    def _exchange(self, method: str, url: str, **parts: Any) -> httpx.Response:
        try:
            return self._client.request(method, url, **parts)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            host = url.split("/", 3)[2]
            raise UnreachableError(f"{host} cannot be reached: {error}") from None

    def _token(self, origin: str, challenge: httpx.Response) -> str:
        resource = _challenge(challenge).get("resource", "")
        # As the SDKs do: a token is requested for the host it will be sent to, and no other.
        if not _is_within(origin, resource):
            raise UnauthorizedError(
                f"{origin} answers with a challenge for another host; is the address right?"
            )
        authority = self._credentials["AZURE_AUTHORITY_HOST"].rstrip("/")
        if "://" not in authority:
            authority = f"https://{authority}"
        if not authority.startswith("https://"):
            raise CommandError(
                "AZURE_AUTHORITY_HOST must be an https address: a secret is sent there"
            )
        tenant = self._credentials["AZURE_TENANT_ID"]
        endpoint = "oauth2/token" if tenant == "adfs" else "oauth2/v2.0/token"
        response = self._exchange(
            "POST",
            f"{authority}/{tenant}/{endpoint}",
            data={
                "grant_type": "client_credentials",
                "client_id": self._credentials["AZURE_CLIENT_ID"],
                "client_secret": self._credentials["AZURE_CLIENT_SECRET"],
                "scope": f"{resource}/.default",
            },
        )
        answer = _json(response)
        token = answer.get("access_token")
        if not isinstance(token, str):
            reason = str(answer.get("error_description") or answer.get("error") or "no token")
            raise UnauthorizedError(f"the issuer refused the credentials: {reason[:300]}")
        return token


def _challenge(response: httpx.Response) -> dict[str, str]:
    return dict(_CHALLENGE_PARAMETER.findall(response.headers.get("WWW-Authenticate", "")))


def _is_within(origin: str, resource: str) -> bool:
    """Returns whether a host is the one that tokens are meant for, or in its domain."""
    try:
        place, meant = read_origin(f"https://{origin}"), read_origin(resource)
    except CommandError:
        return False
    return place.port == meant.port and f".{place.host}".endswith(f".{meant.host}")


def _answer(response: httpx.Response) -> Any:
    if response.status_code == HTTPStatus.NO_CONTENT:
        return None
    answer = _json(response)
    if response.is_success:
        return answer
    error = answer.get("error")
    if not isinstance(error, dict):
        error = {}
    inner = error.get("innererror")
    raised = VaultError(
        str(error.get("message") or f"the service answered {response.status_code}"),
        code=str(error.get("code") or response.reason_phrase),
        inner=str(inner["code"]) if isinstance(inner, dict) and "code" in inner else None,
    )
    raised.status = response.status_code
    raise raised


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise VaultError(
            f"the service answered {response.status_code} without JSON: is the address right?"
        )
    return answer
