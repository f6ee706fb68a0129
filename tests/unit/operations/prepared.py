"""A data folder with an object in every state that some rule looks at."""

import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vaultcore
from vaultcore.clock import ManualClock
from vaultcore.library.engine import LibraryEngine
from vaultcore.library.results import Properties
from vaultcore.protectors.options import ProtectorOptions

NOW = 1_700_000_000
DAY = 86_400
EVERY_USE = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
DIGEST = bytes(range(32))
DATA_KEY = bytes(32)
#: A key of a certain value, so that an import is the same each time.
OCT_JWK = {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}


@dataclass
class Prepared:
    """The folder, closed, and what was made on the way.

    Attributes:
        folder: the data folder.
        versions: of every object, oldest first, for example of ``dev/keys/Plain``.
        made: ciphertexts, signatures and backups, by what made them.
    """

    folder: Path
    versions: dict[str, list[str]] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> frozenset[str]:
        return frozenset(version for listed in self.versions.values() for version in listed)

    def copy(self, to: Path) -> Path:
        """Returns a copy of the folder; a software token is found in it, and not in this one."""
        shutil.copytree(self.folder, to)
        settings = to / "token" / "softhsm2.conf"
        if settings.exists():
            text = settings.read_text()
            settings.write_text(text.replace(str(self.folder.absolute()), str(to.absolute())))
        return to

    def note(self, found: Properties) -> None:
        host, kind, name, version = found.id.removeprefix("https://").split("/")
        self.versions.setdefault(f"{host.split('.')[0]}/{kind}/{name}", []).append(version)


class _Encrypted(bytes):
    """Stands for a ciphertext that is not made yet."""

    ciphertext = nonce = tag = b"?"


def unmade() -> Prepared:
    """Returns what scenarios can be named with before there is a folder."""
    return Prepared(Path(), defaultdict(lambda: ["?", "?"]), defaultdict(lambda: _Encrypted(b"?")))


def prepare(folder: Path) -> Prepared:
    """Makes the folder, in the vaults ``dev``, ``kept`` and ``walled``."""
    made = Prepared(folder)
    with vaultcore.create(folder, clock=ManualClock(NOW - DAY), housekeeping=False) as engine:
        manage = engine.management
        manage.vault_create(name="dev")
        manage.vault_create(name="kept", purge_protection=True, secret_expiry="inform")
        manage.vault_create(name="walled", retention_days=7)
        manage.firewall_add(vault="walled", address="10.1.0.0/16")
        manage.firewall_set(vault="walled", default_action="Deny")
        for vault in ("dev", "kept", "walled"):
            _fill(engine, vault, made)
        _use(engine, made)
    return made


def prepare_hsm(folder: Path) -> Prepared:
    """Makes a folder with keys in a software token, in the vault ``dev``."""
    made = Prepared(folder)
    # The file first, so that the token is opened only for what concerns its keys.
    protectors = [ProtectorOptions("file", "file"), ProtectorOptions("hsm", "softhsm")]
    clock = ManualClock(NOW - DAY)
    with vaultcore.create(folder, clock=clock, housekeeping=False, protectors=protectors) as engine:
        engine.management.vault_create(name="dev", sku="premium")
        keys = engine.vault("dev").acting_as(engine.administrator()).keys
        made.note(keys.create("Hard", "RSA-HSM"))
        made.note(keys.create("Hard-off", "EC-HSM", enabled=False))
        for _ in range(2):
            made.note(keys.create("Hard-gone", "EC-HSM"))
        keys.delete("Hard-gone")
        wrapped = keys.encrypt("Hard", "RSA-OAEP", b"plain")
        made.made["rsa"] = wrapped.ciphertext
    return made


def _fill(engine: LibraryEngine, vault: str, made: Prepared) -> None:
    acting = engine.vault(vault).acting_as(engine.administrator())
    secrets, keys = acting.secrets, acting.keys
    late: dict[str, Any] = {"expires": NOW - 1}
    early: dict[str, Any] = {"not_before": NOW + 1}
    for value in ("first", "second"):
        made.note(secrets.set("Plain", value, content_type="text", tags={"a": "b"}))
    made.note(secrets.set("Off", "value", enabled=False))
    made.note(secrets.set("Late", "value", **late))
    made.note(secrets.set("Early", "value", **early))
    made.note(secrets.set("Gone", "value", tags={"left": "behind"}))
    for _ in range(2):
        made.note(keys.create("Plain", "EC", operations=["sign", "verify"], tags={"a": "b"}))
    made.note(keys.create("Off", "oct", operations=EVERY_USE, enabled=False))
    made.note(keys.create("Late", "oct", operations=EVERY_USE, **late))
    made.note(keys.create("Early", "oct", operations=EVERY_USE, **early))
    made.note(keys.create("Gone", "EC"))
    if vault == "dev":
        _add_more(acting, made)
    secrets.delete("Gone")
    keys.delete("Gone")


def _add_more(acting: Any, made: Prepared) -> None:
    secrets, keys = acting.secrets, acting.keys
    for number in range(22):
        made.note(secrets.set(f"Many-{number:02}", "value"))
    made.note(keys.import_("Oct", OCT_JWK))
    made.note(keys.create("Rsa", "RSA"))
    made.note(keys.create("Unused", "oct"))
    keys.update("Unused", operations=[])
    made.note(secrets.set("Backed", "value"))
    made.note(keys.create("Backed", "oct"))
    for kind in (secrets, keys):
        made.made[f"{kind._kind.kind} backup"] = kind.backup("Backed")
        made.made[f"{kind._kind.kind} backup of what is there"] = kind.backup("Plain")
        made.made[f"{kind._kind.kind} backup of what is deleted"] = kind.backup("Gone")
        kind.delete("Backed")
        kind.purge("Backed")


def _use(engine: LibraryEngine, made: Prepared) -> None:
    """Uses the keys; those of ``Late`` while it was valid."""
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    for name in ("Oct", "Late"):
        made.made[f"{name} gcm"] = keys.encrypt(
            name, "A256GCM", b"plain", associated_data=b"with it"
        )
        made.made[f"{name} wrapped"] = keys.wrap_key(name, "A256KW", DATA_KEY).ciphertext
    made.made["rsa"] = keys.encrypt("Rsa", "RSA-OAEP-256", b"plain").ciphertext
    made.made["signature"] = keys.sign("Plain", "ES256", DIGEST).signature
    made.made["rsa signature"] = keys.sign("Rsa", "PS256", DIGEST).signature
