"""``vaultcore key``: the verbs of ``az keyvault key``."""

import base64
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from vaultcore.cli.objects import (
    Disabled,
    Enabled,
    Expires,
    Id,
    Name,
    NotBefore,
    Tags,
    Target,
    Vault,
    Version,
    add_shared_verbs,
    attributes,
    present,
    read_named,
    target,
    vault_of,
)
from vaultcore.cli.outcome import FAILED, CommandError
from vaultcore.cli.pem import read_pem
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import read_base64, read_tags, read_truth, read_words

group = new_group("Keys: the verbs and options of `az keyvault key`.")

KeyType = Literal["EC", "EC-HSM", "RSA", "RSA-HSM", "oct", "oct-HSM"]
Curve = Annotated[
    Literal["P-256", "P-256K", "P-384", "P-521"] | None,
    typer.Option("--curve", help="The curve of an EC key."),
]
Operations = Annotated[
    list[str] | None, typer.Option("--ops", help="What it may do: sign verify ...")
]
Protection = Annotated[
    Literal["hsm", "software"] | None,
    typer.Option("--protection", "-p", help="Where the key is kept: in software or in the HSM."),
]
Algorithm = Annotated[
    str, typer.Option("--algorithm", "-a", help="For example RSA-OAEP-256, A256GCM, ES256.")
]
Digest = Annotated[str, typer.Option("--digest", help="The digest, in base64.")]

MAXIMUM_PEM_FILE: Final = 64 * 1024

_COLUMNS: Final = {
    "id": "kid",
    "enabled": "attributes.enabled",
    "expires": "attributes.exp",
    "updated": "attributes.updated",
}

add_shared_verbs(group, "keys", _COLUMNS)


@command(group, "create")
def create(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    kty: Annotated[KeyType | None, typer.Option("--kty", help="RSA unless given.")] = None,
    size: Annotated[int | None, typer.Option("--size", help="In bits.")] = None,
    curve: Curve = None,
    ops: Operations = None,
    protection: Protection = None,
    disabled: Disabled = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    tags: Tags = None,
) -> None:
    """Creates a key, as a new version if the name is in use."""
    one = target(session, vault, name, id_)
    body = present(
        kty=_key_type(kty or ("EC" if curve else "RSA"), protection),
        key_size=size,
        crv=curve,
        key_ops=read_words(ops),
        attributes=_attributes(disabled, expires, not_before),
        tags=read_tags(tags),
    )
    path = f"{one.path('keys')}/create"
    session.record(session.request(one.vault, "POST", path, body=body))


@command(group, "import")
def import_(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    pem_file: Annotated[
        Path | None, typer.Option("--pem-file", help="A private key in PEM; - is stdin.")
    ] = None,
    pem_password: Annotated[
        str | None, typer.Option("--pem-password", help="The password of an encrypted PEM file.")
    ] = None,
    ops: Operations = None,
    protection: Protection = None,
    disabled: Disabled = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    tags: Tags = None,
) -> None:
    """Imports a private key, as a new version if the name is in use."""
    one = target(session, vault, name, id_)
    if pem_file is None:
        raise CommandError("say which key: --pem-file FILE, or --pem-file - for stdin")
    data = read_named(pem_file, limit=MAXIMUM_PEM_FILE)
    jwk: dict[str, Any] = dict(read_pem(data, pem_password))
    operations = read_words(ops)
    if operations is not None:
        jwk["key_ops"] = operations
    body = present(
        key=jwk,
        Hsm=True if protection == "hsm" else None,
        attributes=_attributes(disabled, expires, not_before),
        tags=read_tags(tags),
    )
    session.record(session.request(one.vault, "PUT", one.path("keys"), body=body))


@command(group, "show")
def show(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
) -> None:
    """Shows a key: its public part and its attributes."""
    one = target(session, vault, name, id_, version)
    session.record(session.request(one.vault, "GET", one.version_path("keys")))


@command(group, "set-attributes")
def set_attributes(
    session: Session,
    *,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    ops: Operations = None,
    enabled: Enabled = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    tags: Tags = None,
) -> None:
    """Changes the attributes of a version. Attributes that are not given do not change."""
    one = target(session, vault, name, id_, version)
    body = present(
        key_ops=read_words(ops),
        attributes=attributes(enabled=read_truth(enabled), expires=expires, not_before=not_before),
        tags=read_tags(tags),
    )
    session.record(session.request(one.vault, "PATCH", one.version_path("keys"), body=body))


@command(group, "rotate")
def rotate(session: Session, *, name: Name = None, vault: Vault = None, id_: Id = None) -> None:
    """Creates a new version of the same type."""
    one = target(session, vault, name, id_)
    session.record(session.request(one.vault, "POST", f"{one.path('keys')}/rotate"))


@command(group, "random")
def random(
    session: Session,
    *,
    count: Annotated[int, typer.Option("--count", help="How many bytes.")],
    vault: Vault = None,
) -> None:
    """Returns random bytes, in base64."""
    answer = session.request(vault_of(vault), "POST", "/rng", body={"count": count})
    session.record({"value": _standard(answer["value"])})


@command(group, "encrypt")
def encrypt(
    session: Session,
    *,
    algorithm: Algorithm,
    value: Annotated[str, typer.Option("--value", help="What to encrypt.")],
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    data_type: Annotated[
        Literal["base64", "plaintext"], typer.Option("--data-type", help="How it is written.")
    ] = "base64",
    iv: Annotated[
        str | None, typer.Option("--iv", help="In base64; the CBC modes need one.")
    ] = None,
    aad: Annotated[
        str | None, typer.Option("--aad", help="Additional authenticated data, in base64.")
    ] = None,
) -> None:
    """Encrypts; the result is in base64."""
    one = target(session, vault, name, id_, version)
    data = value.encode() if data_type == "plaintext" else read_base64(value, "--value")
    body = present(
        alg=algorithm, value=_wire(data), iv=_option(iv, "--iv"), aad=_option(aad, "--aad")
    )
    answer = _operate(session, one, "encrypt", body)
    session.record(_result(algorithm, answer, _standard(answer["value"])))


@command(group, "decrypt")
def decrypt(
    session: Session,
    *,
    algorithm: Algorithm,
    value: Annotated[str, typer.Option("--value", help="What to decrypt, in base64.")],
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
    data_type: Annotated[
        Literal["base64", "plaintext"],
        typer.Option("--data-type", help="How the result is written."),
    ] = "base64",
    iv: Annotated[str | None, typer.Option("--iv", help="In base64.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="In base64; GCM needs it.")] = None,
    aad: Annotated[
        str | None, typer.Option("--aad", help="Additional authenticated data, in base64.")
    ] = None,
) -> None:
    """Decrypts."""
    one = target(session, vault, name, id_, version)
    body = present(
        alg=algorithm,
        value=_wire(read_base64(value, "--value")),
        iv=_option(iv, "--iv"),
        tag=_option(tag, "--tag"),
        aad=_option(aad, "--aad"),
    )
    answer = _operate(session, one, "decrypt", body)
    plaintext = read_base64(answer["value"], "the answer")
    if data_type == "base64":
        text = base64.b64encode(plaintext).decode()
    else:
        try:
            text = plaintext.decode()
        except UnicodeDecodeError:
            raise CommandError(
                "the result is not text: use --data-type base64", status=FAILED
            ) from None
    session.record(_result(algorithm, {"kid": answer["kid"]}, text))


@command(group, "sign")
def sign(
    session: Session,
    *,
    algorithm: Algorithm,
    digest: Digest,
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
) -> None:
    """Signs a digest; the signature is in base64."""
    one = target(session, vault, name, id_, version)
    body = {"alg": algorithm, "value": _wire(read_base64(digest, "--digest"))}
    answer = _operate(session, one, "sign", body)
    session.record(
        {
            "kid": answer["kid"],
            "algorithm": algorithm,
            "signature": _standard(answer["value"]),
        }
    )


@command(group, "verify")
def verify(
    session: Session,
    *,
    algorithm: Algorithm,
    digest: Digest,
    signature: Annotated[str, typer.Option("--signature", help="In base64.")],
    name: Name = None,
    vault: Vault = None,
    id_: Id = None,
    version: Version = None,
) -> None:
    """Verifies the signature of a digest. The exit status is 1 if it does not verify."""
    one = target(session, vault, name, id_, version)
    body = {
        "alg": algorithm,
        "digest": _wire(read_base64(digest, "--digest")),
        "value": _wire(read_base64(signature, "--signature")),
    }
    answer = _operate(session, one, "verify", body)
    session.record({"algorithm": algorithm, "isValid": answer["value"]})
    if answer["value"] is not True:
        raise typer.Exit(FAILED)


def _operate(session: Session, one: Target, operation: str, body: dict[str, Any]) -> Any:
    path = f"{one.version_path('keys')}/{operation}"
    return session.request(one.vault, "POST", path, body=body)


def _key_type(kty: KeyType, protection: str | None) -> str:
    if protection == "hsm" and not kty.endswith("-HSM"):
        return f"{kty}-HSM"
    if protection == "software" and kty.endswith("-HSM"):
        raise CommandError(f"a key of type {kty} is kept in the HSM: leave --protection out")
    return kty


def _attributes(
    disabled: str | None, expires: str | None, not_before: str | None
) -> dict[str, Any] | None:
    off = read_truth(disabled)
    return attributes(
        enabled=None if off is None else not off, expires=expires, not_before=not_before
    )


def _result(algorithm: str, answer: dict[str, Any], result: str) -> dict[str, Any]:
    extra = {name: _standard(answer[name]) for name in ("iv", "tag", "aad") if answer.get(name)}
    return {"kid": answer["kid"], "algorithm": algorithm, "result": result, **extra}


def _option(text: str | None, option: str) -> str | None:
    return None if text is None else _wire(read_base64(text, option))


def _wire(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _standard(text: str) -> str:
    return base64.b64encode(read_base64(text, "the answer")).decode()
