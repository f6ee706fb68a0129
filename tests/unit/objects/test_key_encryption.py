"""A key-encryption key that follows a key in a vault: rotation, permissions, what is refused."""

import base64
import json
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import vaultcore
from reference import envelope as reference
from vaultcore.errors import (
    BadParameterError,
    DecryptionError,
    ForbiddenError,
    NotFoundError,
    UsageError,
)

WRAPPING = ["wrapKey", "unwrapKey"]


@pytest.fixture
def keys(engine):
    return engine.vault("dev").acting_as(engine.administrator()).keys


def base64url(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def allowed(engine, *permissions):
    principal = vaultcore.Principal(object_id="11111111-2222-3333-4444-555555555555")
    engine.management.access_set(
        vault="dev", principal=principal.object_id, key_permissions=list(permissions)
    )
    return engine.vault("dev").acting_as(principal).keys


class TestRotation:
    def test_what_was_sealed_opens_after_any_number_of_rotations(self, keys):
        keys.create("orders", "oct")
        blobs = []
        for number in range(1, 6):
            kek = keys.kek("orders")
            assert (kek.generation, kek.generations) == (number, list(range(1, number + 1)))
            blobs.append(kek.seal(b"row %d" % number, context={"row": number}))
            keys.rotate("orders")
        newest = keys.kek("Orders")
        for number, blob in enumerate(blobs, 1):
            assert vaultcore.inspect(blob).generation == number
            assert newest.open(blob, context={"row": number}) == b"row %d" % number
        rewrapped = newest.rewrap_many(blobs)
        assert {vaultcore.inspect(blob).generation for blob in rewrapped} == {6}

    def test_the_same_key_gives_the_same_one_after_opening_again(self, tmp_path):
        with vaultcore.create(tmp_path / "data") as first:
            first.management.vault_create(name="dev")
            keys = first.vault("dev").acting_as(first.administrator()).keys
            keys.create("orders", "oct")
            blob = keys.kek("orders").seal(b"row")
        with vaultcore.open(tmp_path / "data") as second:
            keys = second.vault("dev").acting_as(second.administrator()).keys
            assert keys.kek("orders").open(blob) == b"row"

    def test_it_does_not_rotate_or_leave_by_itself(self, keys):
        keys.create("orders", "oct")
        kek = keys.kek("orders")
        for call in (
            kek.rotate,
            kek.danger_to_bytes,
            lambda: kek.wrap_under(vaultcore.KeyEncryptionKey.generate()),
        ):
            with pytest.raises(UsageError, match="follows the versions of a key in a vault"):
                call()

    def test_a_key_of_the_same_name_is_another_key(self, keys):
        keys.create("orders", "oct")
        blob = keys.kek("orders").seal(b"row")
        keys.delete("orders")
        with pytest.raises(NotFoundError):
            keys.kek("orders")
        keys.purge("orders")
        keys.create("orders", "oct")
        with pytest.raises(DecryptionError):
            keys.kek("orders").open(blob)

    def test_a_restored_key_opens_what_was_sealed_before(self, keys):
        keys.create("orders", "oct")
        blob = keys.kek("orders").seal(b"row")
        keys.rotate("orders")
        backup = keys.backup("orders")
        keys.delete("orders")
        keys.purge("orders")
        keys.restore(backup)
        kek = keys.kek("orders")
        assert (kek.generation, kek.open(blob)) == (2, b"row")

    def test_two_keys_and_two_vaults_share_nothing(self, engine, keys):
        secret = os.urandom(32)
        jwk = {"kty": "oct", "k": base64url(secret), "key_ops": WRAPPING}
        engine.management.vault_create(name="other")
        others = engine.vault("other").acting_as(engine.administrator()).keys
        keks = []
        for door, name in ((keys, "a"), (keys, "b"), (others, "a")):
            door.import_(name, jwk)
            keks += [door.kek(name), door.kek(name, suite=2)]
        assert len({kek.id for kek in keks}) == len(keks)

    @pytest.mark.parametrize("suite", [1, 2])
    def test_somebody_with_the_key_can_do_without_the_vault(self, engine, keys, suite):
        """The documented derivation, with `cryptography` and the second implementation."""
        secret = os.urandom(32)
        jwk = {"kty": "oct", "k": base64url(secret), "key_ops": WRAPPING}
        version = keys.import_("orders", jwk).version
        kek = keys.kek("orders", suite=suite)
        blob = kek.seal(b"row", context={"table": "orders"})
        vault = next(state.id for state in engine.states() if state.name == "dev")
        owner = {"suite": suite, "vault": vault, "name": "ORDERS"}
        derived = HKDF(
            algorithm=hashes.SHA256(),
            length=32,
            salt=b"vaultcore/vault-kek",
            info=reference.encode_context({**owner, "version": version}),
        ).derive(secret)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(b"vaultcore/vault-kek-id" + reference.encode_context(owner))
        assert digest.finalize()[:16].hex() == kek.id
        second = reference.Kek(bytes.fromhex(kek.id), suite, {1: derived})
        assert (
            reference.open_envelope(second, blob, reference.encode_context({"table": "orders"}))
            == b"row"
        )


class TestAttributes:
    def test_a_disabled_key_seals_nothing(self, keys):
        version = keys.create("orders", "oct").version
        keys.update("orders", version, enabled=False)
        with pytest.raises(ForbiddenError) as refused:
            keys.kek("orders")
        assert refused.value.inner_code == "KeyDisabled"

    def test_a_disabled_old_version_opens_nothing(self, keys):
        first = keys.create("orders", "oct").version
        old = keys.kek("orders").seal(b"row")
        keys.rotate("orders")
        keys.update("orders", first, enabled=False)
        kek = keys.kek("orders")
        assert kek.generations == [2]
        with pytest.raises(DecryptionError):
            kek.open(old)
        keys.update("orders", first, enabled=True)
        assert keys.kek("orders").open(old) == b"row"

    def test_an_expired_old_version_opens(self, keys, clock):
        first = keys.create("orders", "oct", expires=int(clock.now()) + 10).version
        old = keys.kek("orders").seal(b"row")
        clock.advance(20)
        with pytest.raises(ForbiddenError, match="expired"):
            keys.kek("orders")
        keys.create("orders", "oct")
        assert keys.kek("orders").open(old) == b"row"
        assert keys.get("orders", first).metadata.expires is not None

    @pytest.mark.parametrize("operations", [["wrapKey"], ["unwrapKey"], ["encrypt", "decrypt"]])
    def test_a_key_that_is_not_meant_for_it_is_refused(self, keys, operations):
        keys.create("orders", "oct", operations=operations)
        with pytest.raises(ForbiddenError) as refused:
            keys.kek("orders")
        assert refused.value.inner_code == "KeyOperationForbidden"

    @pytest.mark.parametrize(
        "shape", [{"kty": "oct", "size": 128}, {"kty": "oct", "size": 192}, {"kty": "RSA"}]
    )
    def test_other_keys_are_refused_with_what_to_do(self, keys, shape):
        keys.create("orders", operations=WRAPPING, **shape)
        with pytest.raises(BadParameterError, match=r"oct with at least 256 bits.*create one"):
            keys.kek("orders")

    def test_a_version_of_another_type_is_left_out(self, keys):
        keys.create("orders", "RSA")
        keys.create("orders", "oct")
        kek = keys.kek("orders")
        assert kek.generations == [2]
        assert kek.open(kek.seal(b"row")) == b"row"

    def test_there_are_two_suites(self, keys):
        keys.create("orders", "oct")
        assert keys.kek("orders", suite=2).suite == 2
        with pytest.raises(BadParameterError, match="suite"):
            keys.kek("orders", suite=3)


class TestGate:
    @pytest.mark.parametrize("permissions", [["wrapKey"], ["unwrapKey"], ["get", "list", "sign"]])
    def test_both_permissions_are_needed(self, engine, keys, permissions):
        keys.create("orders", "oct")
        with pytest.raises(ForbiddenError) as refused:
            allowed(engine, *permissions).kek("orders")
        assert refused.value.inner_code == "AccessDenied"
        record = engine.management.audit_query(limit=1)[0]
        assert record["operationName"] == "KeyEncryptionKeyGet"
        assert record["properties"]["httpStatusCode"] == 403

    def test_they_suffice_and_it_is_recorded(self, engine, keys):
        keys.create("orders", "oct")
        door = allowed(engine, *WRAPPING)
        assert door.kek("orders").generation == 1
        record = engine.management.audit_query(limit=1)[0]
        assert record["operationName"] == "KeyEncryptionKeyGet"
        assert record["properties"]["httpStatusCode"] == 200
        assert "/keys/orders" in json.dumps(record)

    def test_a_name_that_is_not_there_is_not_found(self, keys):
        with pytest.raises(NotFoundError):
            keys.kek("orders")
