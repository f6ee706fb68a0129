"""``vaultcore secret``: the verbs of ``az keyvault secret``."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from vaultcore.cli.objects import (
    Disabled,
    Enabled,
    Expires,
    Id,
    Name,
    NotBefore,
    OutFile,
    Tags,
    Vault,
    Version,
    add_shared_verbs,
    attributes,
    present,
    read_named,
    target,
    write_new,
)
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import Encoding, decode_text, encode_text, read_tags, read_truth

group = new_group("Secrets: the verbs and options of `az keyvault secret`.")

FileEncoding = Annotated[
    Encoding,
    typer.Option("--encoding", "-e", help="How the value is encoded in the file."),
]
ContentType = Annotated[
    str | None,
    typer.Option("--content-type", "--description", help="What kind of value it is."),
]

#: Enough for a text of 25 KB in any of the encodings.
MAXIMUM_VALUE_FILE: Final = 64 * 1024

_COLUMNS: Final = {
    "id": "id",
    "enabled": "attributes.enabled",
    "expires": "attributes.exp",
    "updated": "attributes.updated",
    "content type": "contentType",
}

add_shared_verbs(group, "secrets", _COLUMNS)


@command(group, "set")
def set_(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    value: Annotated[
        str | None,
        typer.Option("--value", help="The value. Other users see it in the process list."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The file with the value; - is stdin.")
    ] = None,
    encoding: FileEncoding = "utf-8",
    content_type: ContentType = None,
    disabled: Disabled = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    tags: Tags = None,
) -> None:
    """Stores a value, as a new version if the secret exists. The answer does not show it."""
    one = target(session, vault, name, id_)
    if (value is None) == (file is None):
        raise CommandError("give the value once: --value TEXT, --file FILE, or --file - for stdin")
    if file is not None:
        value = decode_text(read_named(file, limit=MAXIMUM_VALUE_FILE), encoding)
    off = read_truth(disabled)
    body = present(
        value=value,
        contentType=content_type,
        attributes=attributes(
            enabled=None if off is None else not off, expires=expires, not_before=not_before
        ),
        tags=read_tags(tags),
    )
    answer = session.request(one.vault, "PUT", one.path("secrets"), body=body)
    session.record({member: part for member, part in answer.items() if member != "value"})


@command(group, "show")
def show(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    value_only: Annotated[
        bool, typer.Option("--value-only", help="Print the value and nothing else.")
    ] = False,
) -> None:
    """Shows a secret with its value."""
    one = target(session, vault, name, id_, version)
    answer = session.request(one.vault, "GET", one.version_path("secrets"))
    if value_only:
        sys.stdout.write(answer["value"])
        if sys.stdout.isatty():
            sys.stdout.write("\n")
    else:
        session.record(answer)


@command(group, "download")
def download(
    session: Session,
    *,
    file: OutFile,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    encoding: FileEncoding = "utf-8",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Writes a secret's value to a file that only you may read."""
    one = target(session, vault, name, id_, version)
    answer = session.request(one.vault, "GET", one.version_path("secrets"))
    write_new(file, encode_text(answer["value"], encoding), overwrite=overwrite)
    session.record({"file": str(file), "id": answer["id"]})


@command(group, "set-attributes")
def set_attributes(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    content_type: ContentType = None,
    enabled: Enabled = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    tags: Tags = None,
) -> None:
    """Changes the attributes of a version. Attributes that are not given do not change."""
    one = target(session, vault, name, id_, version)
    body = present(
        contentType=content_type,
        attributes=attributes(enabled=read_truth(enabled), expires=expires, not_before=not_before),
        tags=read_tags(tags),
    )
    session.record(session.request(one.vault, "PATCH", one.version_path("secrets"), body=body))
