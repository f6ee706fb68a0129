//! A key-encryption key that follows the versions of a vault's symmetric key.

use aws_lc_rs::{digest, hkdf};
use zeroize::Zeroizing;

use super::generation::Generation;
use super::{KeyEncryptionKey, Origin};
use crate::context::{Context, Value};
use crate::envelope::{KekId, Suite, KEK_ID_SIZE};
use crate::key::Key;
use crate::secret::{SecretKey, KEY_SIZE};
use crate::{Error, Result};

/// One version of the key that a key-encryption key follows.
pub struct KeyVersion<'a> {
    /// The generation that the version becomes.
    pub generation: u32,
    /// The name of the version, which is bound into what is derived from it.
    pub version: &'a str,
    /// A symmetric key of 256 bits or more.
    pub key: &'a Key,
}

impl KeyEncryptionKey {
    /// Creates the key-encryption key of a vault's symmetric key, with one generation per version.
    ///
    /// ```text
    /// id         = SHA-256("vaultcore/vault-kek-id" | context(suite, vault, name)), cut to 16 bytes
    /// generation = HKDF-SHA-256(salt "vaultcore/vault-kek", the version's key,
    ///                           info context(suite, vault, name, version)), 32 bytes
    /// ```
    ///
    /// The derivation separates it from other uses of the key, and gives each suite its own keys.
    pub fn from_versions(
        vault: &str,
        name: &str,
        suite: Suite,
        versions: &[KeyVersion<'_>],
    ) -> Result<Self> {
        let generations = versions
            .iter()
            .map(|version| {
                let info = owner(vault, name, suite, Some(version.version))?;
                let key = derive(version.key, &info)?;
                Generation::new(version.generation, suite, key)
            })
            .collect::<Result<Vec<_>>>()?;
        let id = derive_id(&owner(vault, name, suite, None)?);
        Self::from_generations(id, suite, Origin::Versions, generations)
    }
}

fn owner(vault: &str, name: &str, suite: Suite, version: Option<&str>) -> Result<Context> {
    let mut fields = vec![
        ("suite", Value::Int(i64::from(suite.number()))),
        ("vault", Value::Text(vault)),
        ("name", Value::Text(name)),
    ];
    fields.extend(version.map(|version| ("version", Value::Text(version))));
    Context::new(&mut fields)
}

fn derive(key: &Key, info: &Context) -> Result<SecretKey> {
    let secret = key
        .symmetric()
        .filter(|secret| secret.len() >= KEY_SIZE)
        .ok_or_else(|| {
            Error::Algorithm(
                "a key-encryption key is derived from a symmetric key of 256 bits or more"
                    .to_owned(),
            )
        })?;
    let mut derived = Zeroizing::new([0; KEY_SIZE]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[info.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(derived.as_mut_slice()))
        .map_err(|_| Error::Backend)?;
    SecretKey::from_slice(derived.as_slice())
}

fn derive_id(owner: &Context) -> KekId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(ID_LABEL);
    hash.update(owner.as_bytes());
    let mut id = [0; KEK_ID_SIZE];
    for (target, value) in id.iter_mut().zip(hash.finish().as_ref()) {
        *target = *value;
    }
    KekId(id)
}

const SALT: &[u8] = b"vaultcore/vault-kek";
const ID_LABEL: &[u8] = b"vaultcore/vault-kek-id";

// Not under Miri: the backend is C.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::envelope::Content;
    use crate::key::{Export, Jwk, Shape};

    fn one<'a>(generation: u32, version: &'a str, key: &'a Key) -> KeyVersion<'a> {
        KeyVersion {
            generation,
            version,
            key,
        }
    }

    fn exposed(vault: &str, name: &str, suite: Suite, version: &str, key: &Key) -> Result<Vec<u8>> {
        let kek = KeyEncryptionKey::from_versions(vault, name, suite, &[one(1, version, key)])?;
        Ok(kek.newest()?.key().expose().to_vec())
    }

    #[test]
    fn everything_that_names_a_version_changes_its_key() -> Result<()> {
        let key = Key::generate("oct", Shape::Size(256), Export::Refused)?;
        let other = Key::generate("oct", Shape::Size(256), Export::Refused)?;
        let all = [
            exposed("v", "N", Suite::GcmSiv, "1", &key)?,
            exposed("w", "N", Suite::GcmSiv, "1", &key)?,
            exposed("v", "M", Suite::GcmSiv, "1", &key)?,
            exposed("v", "N", Suite::AesKw, "1", &key)?,
            exposed("v", "N", Suite::GcmSiv, "2", &key)?,
            exposed("v", "N", Suite::GcmSiv, "1", &other)?,
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(
            all.first(),
            Some(&exposed("v", "N", Suite::GcmSiv, "1", &key)?)
        );
        Ok(())
    }

    #[test]
    fn the_id_and_the_key_are_what_the_documentation_says() -> Result<()> {
        // Computed with Python's hashlib and hmac (RFC 5869, section 2).
        let jwk =
            Jwk::parse(br#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#)?;
        let key = Key::from_jwk(&jwk, Export::Refused)?;
        let kek = KeyEncryptionKey::from_versions(
            "vault",
            "ORDERS",
            Suite::GcmSiv,
            &[one(1, "0123456789abcdef0123456789abcdef", &key)],
        )?;
        assert_eq!(kek.id().to_string(), ID);
        assert_eq!(kek.newest()?.key().expose(), &KEY);
        Ok(())
    }

    #[test]
    fn old_envelopes_open_while_their_version_is_among_the_others() -> Result<()> {
        let keys: Vec<_> = (0..3)
            .map(|_| Key::generate("oct", Shape::Size(256), Export::Refused))
            .collect::<Result<_>>()?;
        let names = ["a", "b", "c"];
        let upto = |count: usize| {
            let versions: Vec<_> = (1..)
                .zip(names.iter().zip(&keys))
                .take(count)
                .map(|(number, (name, key))| one(number, name, key))
                .collect();
            KeyEncryptionKey::from_versions("v", "N", Suite::GcmSiv, &versions)
        };
        let blob = upto(1)?.seal(Content::Message, b"old", &Context::EMPTY)?;
        let newest = upto(3)?;
        assert_eq!(newest.generations(), [1, 2, 3]);
        let opened = newest.open(Content::Message, &blob, &Context::EMPTY)?;
        assert_eq!(opened.expose(), b"old");
        let sealed = newest.seal(Content::Message, b"new", &Context::EMPTY)?;
        assert!(upto(2)?
            .open(Content::Message, &sealed, &Context::EMPTY)
            .is_err());
        Ok(())
    }

    #[test]
    fn it_neither_rotates_by_itself_nor_leaves() -> Result<()> {
        let key = Key::generate("oct", Shape::Size(256), Export::Refused)?;
        let kek = KeyEncryptionKey::from_versions("v", "N", Suite::GcmSiv, &[one(1, "a", &key)])?;
        let outer = KeyEncryptionKey::generate(Suite::GcmSiv)?;
        assert!(matches!(kek.rotate(), Err(Error::Usage(_))));
        assert!(matches!(kek.danger_expose(), Err(Error::Usage(_))));
        assert!(matches!(kek.wrap_under(&outer), Err(Error::Usage(_))));
        Ok(())
    }

    #[test]
    fn other_keys_are_refused() -> Result<()> {
        for key in [
            Key::generate("oct", Shape::Size(192), Export::Refused)?,
            Key::generate("EC", Shape::Default, Export::Refused)?,
        ] {
            let made =
                KeyEncryptionKey::from_versions("v", "N", Suite::GcmSiv, &[one(1, "a", &key)]);
            assert!(matches!(made.err(), Some(Error::Algorithm(_))));
        }
        Ok(())
    }

    const ID: &str = "b8b823103aa271153f2a7732025a550b";
    const KEY: [u8; KEY_SIZE] = [
        0x90, 0xd9, 0x2d, 0x55, 0xa8, 0x21, 0xcd, 0x98, 0x45, 0xeb, 0x30, 0x62, 0x60, 0xfc, 0x0d,
        0xbf, 0x64, 0x9b, 0x52, 0x86, 0x1a, 0xa5, 0xc5, 0x50, 0xf9, 0xc4, 0x72, 0x8a, 0x55, 0x82,
        0x21, 0xa4,
    ];
}
