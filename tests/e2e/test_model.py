"""Secrets and keys against a small reference model, clock included.

The model says in a few lines what the contract says in many; hypothesis looks for an order of
calls after which the two disagree.
"""

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import vaultcore
from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError, ConflictError, ForbiddenError, NotFoundError

DAY = 86_400
RETENTION = 7
NAMES = st.sampled_from(["a", "A", "b", "B-1", "c"])
VALUES = st.text(max_size=40)
DATES = st.none() | st.integers(-3 * DAY, 3 * DAY)
KEY_SHAPES = st.sampled_from([("EC", "P-256"), ("EC", "P-384"), ("oct", None)])
DIGEST = {"P-256": ("ES256", hashlib.sha256(b"x").digest()),
          "P-384": ("ES384", hashlib.sha384(b"x").digest())}  # fmt: skip
BOUND_TO_DATES = {"sign", "encrypt", "wrapKey"}


@dataclass
class ModelVersion:
    version: str
    value: Any
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    shape: tuple[str, str | None] = ("", None)
    signature: bytes = b""


@dataclass
class ModelObject:
    display: str
    versions: list[ModelVersion] = field(default_factory=list)
    purge_at: int | None = None

    @property
    def deleted(self) -> bool:
        return self.purge_at is not None


@pytest.fixture(scope="module")
def clock():
    return ManualClock()


@pytest.fixture(scope="module")
def engine(tmp_path_factory, clock):
    folder = tmp_path_factory.mktemp("model") / "data"
    with vaultcore.create(folder, clock=clock, housekeeping=False) as opened:
        yield opened


NUMBERS = itertools.count()


class VaultMachine(RuleBasedStateMachine):
    """One vault, one model; `engine` and `clock` are set by the test."""

    engine: vaultcore.Engine
    clock: ManualClock
    blobs = Bundle("blobs")

    @initialize()
    def start(self):
        self.name = f"vault{next(NUMBERS)}"
        self.engine.management.vault_create(name=self.name, retention_days=RETENTION)
        acting = self.engine.vault(self.name).acting_as(self.engine.administrator())
        self.doors: dict[str, Any] = {"secrets": acting.secrets, "keys": acting.keys}
        self.model: dict[str, dict[str, ModelObject]] = {"secrets": {}, "keys": {}}

    @property
    def now(self):
        return int(self.clock.now())

    def live(self, kind, name):
        found = self.model[kind].get(name.upper())
        return found if found is not None and not found.deleted else None

    def dates(self, not_before, expires):
        not_before = None if not_before is None else self.now + not_before
        expires = None if expires is None else self.now + expires
        bad = not_before is not None and expires is not None and expires <= not_before
        return not_before, expires, bad

    def add(self, kind, name, made, version):
        found = self.model[kind].setdefault(name.upper(), ModelObject(name))
        assert made.name == found.display
        version.version = made.version
        assert made.version not in [v.version for v in found.versions]
        found.versions.append(version)

    def taken(self, kind, name):
        found = self.model[kind].get(name.upper())
        return found is not None and found.deleted

    # writing

    @rule(name=NAMES, value=VALUES, enabled=st.booleans(), not_before=DATES, expires=DATES)
    def set_secret(self, name, value, enabled, not_before, expires):
        not_before, expires, bad = self.dates(not_before, expires)

        def call():
            return self.doors["secrets"].set(
                name, value, enabled=enabled, not_before=not_before, expires=expires,
                tags={"t": value[:5]},
            )  # fmt: skip

        if bad:
            with pytest.raises(BadParameterError):
                call()
        elif self.taken("secrets", name):
            with pytest.raises(ConflictError) as refused:
                call()
            assert refused.value.inner_code == "ObjectIsDeletedButRecoverable"
        else:
            version = ModelVersion("", value, enabled, not_before, expires, {"t": value[:5]})
            self.add("secrets", name, call(), version)

    @rule(name=NAMES, shape=KEY_SHAPES, not_before=DATES, expires=DATES)
    def create_key(self, name, shape, not_before, expires):
        not_before, expires, bad = self.dates(not_before, expires)

        def call():
            return self.doors["keys"].create(
                name, shape[0], curve=shape[1], not_before=not_before, expires=expires
            )

        if bad:
            with pytest.raises(BadParameterError):
                call()
        elif self.taken("keys", name):
            with pytest.raises(ConflictError):
                call()
        else:
            version = ModelVersion("", None, True, not_before, expires, {}, shape)
            self.add("keys", name, call(), version)

    @rule(name=NAMES)
    def rotate_key(self, name):
        found = self.live("keys", name)
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors["keys"].rotate(name)
            return
        made = self.doors["keys"].rotate(name)
        shape = found.versions[-1].shape
        assert made.version not in [v.version for v in found.versions]
        found.versions.append(ModelVersion(made.version, None, shape=shape))

    @rule(
        kind=st.sampled_from(["secrets", "keys"]), name=NAMES, place=st.integers(0, 3),
        enabled=st.none() | st.booleans(), expires=DATES, tag=st.none() | st.text(max_size=3),
    )  # fmt: skip
    def update(self, kind, name, place, enabled, expires, tag):
        found = self.live(kind, name)
        tags = None if tag is None else {"u": tag}
        expires = None if expires is None else self.now + expires
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors[kind].update(name, enabled=enabled)
            return
        version = found.versions[place % len(found.versions)]
        wanted = expires if expires is not None else version.expires
        bad = (
            wanted is not None and version.not_before is not None and (wanted <= version.not_before)
        )
        if bad:
            with pytest.raises(BadParameterError):
                self.doors[kind].update(
                    name, version.version, enabled=enabled, expires=expires, tags=tags
                )
            return
        after = self.doors[kind].update(
            name, version.version, enabled=enabled, expires=expires, tags=tags
        )
        version.enabled = version.enabled if enabled is None else enabled
        version.expires = wanted
        version.tags = version.tags if tags is None else tags
        self.same(after, found, version)

    @rule(kind=st.sampled_from(["secrets", "keys"]), name=NAMES)
    def delete(self, kind, name):
        found = self.live(kind, name)
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors[kind].delete(name)
            return
        gone = self.doors[kind].delete(name)
        found.purge_at = self.now + RETENTION * DAY
        assert (gone.deleted_at, gone.purge_at) == (self.now, found.purge_at)
        assert gone.version == found.versions[-1].version

    @rule(kind=st.sampled_from(["secrets", "keys"]), name=NAMES)
    def recover(self, kind, name):
        if not self.taken(kind, name):
            with pytest.raises(NotFoundError):
                self.doors[kind].recover(name)
            return
        found = self.model[kind][name.upper()]
        found.purge_at = None
        self.same(self.doors[kind].recover(name), found, found.versions[-1])

    @rule(kind=st.sampled_from(["secrets", "keys"]), name=NAMES)
    def purge(self, kind, name):
        if not self.taken(kind, name):
            with pytest.raises(NotFoundError):
                self.doors[kind].purge(name)
            return
        self.doors[kind].purge(name)
        del self.model[kind][name.upper()]

    @rule(target=blobs, kind=st.sampled_from(["secrets", "keys"]), name=NAMES)
    def backup(self, kind, name):
        found = self.live(kind, name)
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors[kind].backup(name)
            return None
        kept = [ModelVersion(**vars(version)) for version in found.versions]
        return kind, name, found.display, kept, self.doors[kind].backup(name)

    @rule(backup=blobs)
    def restore(self, backup):
        if backup is None:
            return
        kind, name, display, versions, blob = backup
        if name.upper() in self.model[kind]:
            with pytest.raises(ConflictError):
                self.doors[kind].restore(blob)
            return
        restored = self.doors[kind].restore(blob)
        kept = [ModelVersion(**vars(version)) for version in versions]
        self.model[kind][name.upper()] = ModelObject(display, kept)
        self.same(restored, self.model[kind][name.upper()], kept[-1])

    @rule(seconds=st.integers(1, 5 * DAY))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        self.engine.purge_due()
        for kind in ("secrets", "keys"):
            due = [
                key
                for key, found in self.model[kind].items()
                if found.deleted and found.purge_at <= self.now
            ]
            for key in due:
                del self.model[kind][key]

    # reading

    @rule(name=NAMES, place=st.integers(-1, 3))
    def get_secret(self, name, place):
        found = self.live("secrets", name)
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors["secrets"].get(name)
            return
        version = found.versions[-1 if place < 0 else place % len(found.versions)]
        asked = "" if place < 0 else version.version
        if not version.enabled:
            inner = "SecretDisabled"
        elif version.expires is not None and self.now >= version.expires:
            inner = "SecretExpired"
        else:
            secret = self.doors["secrets"].get(name, asked)
            assert secret.value == version.value
            assert (secret.name, secret.version) == (found.display, version.version)
            return
        with pytest.raises(ForbiddenError) as refused:
            self.doors["secrets"].get(name, asked)
        assert refused.value.inner_code == inner

    @rule(name=NAMES, place=st.integers(0, 3), use=st.sampled_from(["sign", "verify", "encrypt"]))
    def use_key(self, name, place, use):
        found = self.live("keys", name)
        if found is None:
            with pytest.raises(NotFoundError):
                self.doors["keys"].sign(name, "ES256", b"")
            return
        version = found.versions[place % len(found.versions)]
        family, curve = version.shape
        algorithm, digest = DIGEST.get(curve, ("A256GCM", b"payload"))
        keys = self.doors["keys"]

        def call():
            if use == "sign":
                return keys.sign(name, algorithm, digest, version=version.version).signature
            if use == "verify":
                return keys.verify(
                    name, algorithm, digest, version.signature or b"\0" * 64,
                    version=version.version,
                )  # fmt: skip
            return keys.encrypt(name, algorithm, digest, version=version.version)

        permitted = {"EC": {"sign", "verify"}, "oct": {"encrypt"}}[family]
        early = version.not_before is not None and self.now < version.not_before
        late = version.expires is not None and self.now >= version.expires
        if not version.enabled:
            inner = "KeyDisabled"
        elif use not in permitted:
            inner = "KeyOperationForbidden"
        elif use in BOUND_TO_DATES and (early or late):
            inner = "KeyNotYetValid" if early else "KeyExpired"
        else:
            done = call()
            if use == "sign":
                version.signature = done
            elif use == "verify":
                assert done == bool(version.signature)
            return
        with pytest.raises(ForbiddenError) as refused:
            call()
        assert refused.value.inner_code == inner

    @invariant()
    def lists_agree(self):
        if not hasattr(self, "doors"):
            return
        for kind, door in self.doors.items():
            listed = [(p.name, p.version, p.enabled) for p in door.list()]
            assert listed == [
                (found.display, found.versions[-1].version, found.versions[-1].enabled)
                for _, found in sorted(self.model[kind].items())
                if not found.deleted
            ]
            deleted = [(p.name, p.purge_at) for p in door.list_deleted()]
            assert deleted == [
                (found.display, found.purge_at)
                for _, found in sorted(self.model[kind].items())
                if found.deleted
            ]

    @rule(kind=st.sampled_from(["secrets", "keys"]), name=NAMES)
    def versions_agree(self, kind, name):
        found = self.live(kind, name)
        if found is None:
            return
        listed = list(self.doors[kind].list_versions(name))
        assert [p.version for p in listed] == [v.version for v in reversed(found.versions)]
        for shown, version in zip(listed, reversed(found.versions), strict=True):
            self.same(shown, found, version)

    def same(self, shown, found, version):
        assert (shown.name, shown.version) == (found.display, version.version)
        assert shown.enabled == version.enabled
        assert shown.expires == version.expires
        assert shown.not_before == version.not_before
        assert shown.tags == version.tags


def test_the_engine_agrees_with_the_model(engine, clock):
    machine: Any = type("Machine", (VaultMachine,), {"engine": engine, "clock": clock})
    case = machine.TestCase
    case.settings = settings(
        max_examples=60,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
