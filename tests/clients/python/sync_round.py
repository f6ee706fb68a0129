"""One round of the unmodified Azure SDK for Python, with its synchronous clients."""

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyVaultKey
from azure.keyvault.keys.crypto import (
    CryptographyClient,
    EncryptionAlgorithm,
    KeyWrapAlgorithm,
    SignatureAlgorithm,
)
from azure.keyvault.secrets import SecretClient
from steps import (
    DIGEST,
    OTHER_DIGEST,
    Refused,
    Step,
    check_pages,
    check_signature,
    encrypt_here,
    new_prefix,
    page_names,
    vault_url,
    verify_requests,
)


def main() -> None:
    prefix = new_prefix("python")
    with (
        DefaultAzureCredential() as credential,
        SecretClient(vault_url(), credential) as secrets,
        KeyClient(vault_url(), credential) as keys,
    ):
        secret_steps(secrets, prefix)
        key_steps(keys, credential, prefix)
    print("done")


def secret_steps(client: SecretClient, prefix: str) -> None:
    name = f"{prefix}-secret"
    with Step("set a secret"):
        made = client.set_secret(name, "first", content_type="text/plain", tags={"round": "python"})
        first = made.properties.version
        assert first is not None
        assert len(first) == 32
        assert made.value == "first"
        assert made.properties.content_type == "text/plain"
        assert made.properties.tags == {"round": "python"}
        assert made.properties.enabled is True
    with Step("get it"):
        assert client.get_secret(name).value == "first"
    with Step("set a second version"):
        second = client.set_secret(name, "second").properties.version
        assert second != first
    with Step("get the current one"):
        assert client.get_secret(name).value == "second"
    with Step("get the first by version"):
        assert client.get_secret(name, first).value == "first"
    with Step("disable the first"):
        assert client.update_secret_properties(name, first, enabled=False).enabled is False
    with Step("the first is refused"), Refused(403, "Forbidden", "SecretDisabled"):
        client.get_secret(name, first)
    with Step("the second is not"):
        assert client.get_secret(name).value == "second"
    with Step("list the versions"):
        versions = client.list_properties_of_secret_versions(name)
        assert {item.version: item.enabled for item in versions} == {first: False, second: True}
    with Step("list over several pages"):
        for each in page_names(prefix):
            client.set_secret(each, "x")
        pages = client.list_properties_of_secrets().by_page()
        check_pages((list(page) for page in pages), prefix)
    with Step("delete"):
        deleted = client.begin_delete_secret(name).result()
        assert deleted.recovery_id
        assert deleted.scheduled_purge_date
        assert client.get_deleted_secret(name).name == name
    with Step("a deleted one is not found"), Refused(404, "SecretNotFound"):
        client.get_secret(name)
    with Step("recover"):
        client.begin_recover_deleted_secret(name).wait()
        assert client.get_secret(name).value == "second"
    with Step("delete and purge"):
        client.begin_delete_secret(name).wait()
        client.purge_deleted_secret(name)
        with Refused(404, "SecretNotFound"):
            client.get_deleted_secret(name)
    with (
        Step("a backup without the permission is refused"),
        Refused(403, "Forbidden", "AccessDenied"),
    ):
        client.backup_secret(page_names(prefix)[0])


def key_steps(client: KeyClient, credential: TokenCredential, prefix: str) -> None:
    with Step("create an RSA key"):
        rsa = got(client, client.create_rsa_key(f"{prefix}-rsa", size=2048))
        assert rsa.key_type == "RSA"
    with Step("create an EC key"):
        ec = got(client, client.create_ec_key(f"{prefix}-ec", curve="P-256"))
        assert ec.key_type == "EC"
    for algorithm, key in (
        (SignatureAlgorithm.rs256, rsa),
        (SignatureAlgorithm.ps256, rsa),
        (SignatureAlgorithm.es256, ec),
    ):
        with Step(f"sign and verify {algorithm.value}"), use(key, credential) as cryptography:
            signature = cryptography.sign(algorithm, DIGEST).signature
            # The SDK has the public key and verifies by itself.
            assert cryptography.verify(algorithm, DIGEST, signature).is_valid
            assert not cryptography.verify(algorithm, OTHER_DIGEST, signature).is_valid
            for valid, request in verify_requests(key, algorithm, signature):
                answer = client.send_request(request)
                answer.raise_for_status()
                assert answer.json() == {"value": valid}
            check_signature(key.key, algorithm, signature)
    with use(rsa, credential) as cryptography:
        with Step("encrypt and decrypt"):
            oaep = EncryptionAlgorithm.rsa_oaep_256
            sealed = cryptography.encrypt(oaep, b"a plaintext").ciphertext
            assert cryptography.decrypt(oaep, sealed).plaintext == b"a plaintext"
        with Step("decrypt what was encrypted here"):
            sealed = encrypt_here(rsa.key, b"a local plaintext")
            assert cryptography.decrypt(oaep, sealed).plaintext == b"a local plaintext"
        with Step("wrap and unwrap a key"):
            wrapped = cryptography.wrap_key(KeyWrapAlgorithm.rsa_oaep, bytes(32)).encrypted_key
            assert cryptography.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key == bytes(32)
    with Step("a missing key is not found"), Refused(404, "KeyNotFound"):
        client.get_key(f"{prefix}-missing")
    with (
        Step("a backup of a key without the permission is refused"),
        Refused(403, "Forbidden", "AccessDenied"),
    ):
        client.backup_key(rsa.name)


def got(client: KeyClient, made: KeyVaultKey) -> KeyVaultKey:
    key = client.get_key(made.name, made.properties.version)
    assert key.id == made.id
    assert vars(key.key)["d"] is None
    return key


def use(key: KeyVaultKey, credential: TokenCredential) -> CryptographyClient:
    return CryptographyClient(key.id, credential)


if __name__ == "__main__":
    main()
