"""What every command that touches a vault has in common: its connection and its output."""

import contextlib
import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperOption

from vaultcore.cli.address import vault_label
from vaultcore.cli.connection import Connection, connect
from vaultcore.cli.outcome import FAILED, exit_status, explain
from vaultcore.cli.output import print_error, print_json, print_record, print_records
from vaultcore.errors import VaultcoreError

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="VAULTCORE_DATA", help="The data folder. Default: ./vaultcore-data."
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="VAULTCORE_URL",
        help="A running service, instead of a folder: the address of one of its vaults, of its "
        "management plane, or of their domain. The credentials are taken from the environment, as "
        "the Azure SDKs do.",
    ),
]
ActingAs = Annotated[
    str | None,
    typer.Option("--as", help="On a folder: the application to act as. Default: administrator."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="VAULTCORE_PASSPHRASE_FILE",
        help="The file with the passphrase of the folder's key file.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

_SHARED: Final = {
    "data": (Data, None),
    "url": (Url, None),
    "acting_as": (ActingAs, None),
    "passphrase_file": (PassphraseFile, None),
    "json": (Json, False),
}


class Session:
    """One command's connection to a vault.

    Args:
        data: the data folder, or None.
        url: the service, or None.
        acting_as: the application to act as on a folder, or None.
        passphrase_file: the file with the passphrase of the key file, or None.
        json: whether to answer in JSON.
    """

    def __init__(
        self,
        *,
        data: Path | None,
        url: str | None,
        acting_as: str | None,
        passphrase_file: Path | None,
        json: bool,
    ) -> None:
        self._connect = functools.partial(
            connect, data=data, url=url, acting_as=acting_as, passphrase_file=passphrase_file
        )
        self._connection: Connection | None = None
        self.json = json

    @property
    def connection(self) -> Connection:
        """The connection to the vault, opened when first used."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def manage(self, operation: str, /, **arguments: Any) -> Any:
        """Carries out an operation of the management plane."""
        return self.connection.manage(operation, **arguments)

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
            CommandError: a vault cannot have this name.
            VaultError: it was refused.
        """
        vault_label(vault)
        return self.connection.request(vault, method, path, query=query, body=body)

    def record(self, answer: Mapping[str, Any]) -> None:
        """Prints one answer."""
        if self.json:
            print_json(answer)
        else:
            print_record(answer)

    def records(self, answers: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        """Prints many answers; the columns are those for people."""
        if self.json:
            print_json(answers)
        else:
            print_records(answers, columns)

    def close(self) -> None:
        """Closes the connection to the vault."""
        if self._connection is not None:
            self._connection.close()


class Command(TyperCommand):
    """A command whose list options take their words as `az` does: ``--ops sign verify``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option before each of its words, which is the form that the parser knows."""
        lists = {
            name
            for parameter in self.params
            if isinstance(parameter, TyperOption) and parameter.multiple
            for name in parameter.opts
        }
        rest = super().parse_args(ctx, list(_repeated(args, lists)))
        for parameter in self.params:
            # The name of a file, a Path, may be any bytes; everything else is sent as text.
            if not _is_text(ctx.params.get(parameter.name)):
                raise typer.BadParameter(f"{parameter.opts[0]} is not text in UTF-8", ctx)
        return rest


def _is_text(value: Any) -> bool:
    words = value if isinstance(value, list | tuple) else [value]
    return not any(
        "\ud800" <= character <= "\udfff"
        for word in words
        if isinstance(word, str)
        for character in word
    )


def _repeated(args: list[str], lists: set[str]) -> list[str]:
    words: list[str] = []
    option = None
    for word in args:
        if word.startswith("--") or (word.startswith("-") and len(word) == 2):  # noqa: PLR2004
            option = word if word in lists else None
            if option is None:
                words.append(word)
        elif option is not None:
            words += [option, word]
        else:
            words.append(word)
    return words


@contextlib.contextmanager
def reported() -> Any:
    """Turns an error of vaultcore into a line on the error stream and an exit status.

    Any other error is a defect, and keeps its traceback (which holds no values).
    """
    try:
        yield
    except VaultcoreError as error:
        print_error(explain(error))
        raise typer.Exit(exit_status(error)) from None
    except BrokenPipeError:
        # The reader of the output has closed it; what is still buffered has nowhere to go.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        raise typer.Exit(FAILED) from None
    except OSError as error:
        print_error(str(error))
        raise typer.Exit(FAILED) from None


def command(group: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as a command; its first parameter is the :class:`Session`.

    Args:
        group: the group of commands.
        name: the word that the user types.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> None:
            shared = {option: options.pop(option) for option in _SHARED}
            with reported(), contextlib.closing(Session(**shared)) as session:
                function(session, *args, **options)

        # Typer reads the options from the signature: replace the session by the shared options.
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        common = [
            inspect.Parameter(
                option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for option, (annotation, default) in _SHARED.items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
        run.__annotations__ = {
            parameter.name: parameter.annotation for parameter in [*own, *common]
        }
        group.command(name, cls=Command)(run)
        return function

    return register


def plain(group: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as a command that opens no vault."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> None:
            with reported():
                function(*args, **options)

        group.command(name, cls=Command)(run)
        return function

    return register


def new_group(text: str) -> typer.Typer:
    """Creates a group of commands.

    Args:
        text: the help text of the group.
    """
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # they can show locals, which hold secrets
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
