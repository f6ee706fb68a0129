use super::*;
use crate::context::Value;
use crate::envelope::{inspect, STABLE_SIZE};

impl KeyEncryptionKey {
    /// Seals with given randomness, which only the test vectors may do.
    pub(crate) fn seal_with_randomness(
        &self,
        kind: Content,
        job: SealJob<'_>,
        random: &[u8],
    ) -> Result<()> {
        let generation = self.newest()?;
        self.seal_with(&generation, kind, job, random)
    }

    /// Creates a key from given generations.
    pub(crate) fn of(id: KekId, suite: Suite, keys: &[(u32, Vec<u8>)]) -> Result<Self> {
        let generations = keys
            .iter()
            .map(|(number, key)| Generation::new(*number, suite, SecretKey::from_slice(key)?))
            .collect::<Result<_>>()?;
        Self::from_generations(id, suite, Origin::Own, generations)
    }
}

fn context() -> Result<Context> {
    Context::new(&mut [("table", Value::Text("orders"))])
}

fn open(kek: &KeyEncryptionKey, blob: &[u8], context: &Context) -> Result<Vec<u8>> {
    kek.open(Content::Message, blob, context)
        .map(|bytes| bytes.expose().to_vec())
}

#[test]
fn what_is_sealed_opens() -> Result<()> {
    for suite in [Suite::GcmSiv, Suite::AesKw] {
        let kek = KeyEncryptionKey::generate(suite)?;
        for size in [0, 1, 15, 16, 17, 1024, 100_000] {
            let plaintext = vec![0x5a; size];
            let blob = kek.seal(Content::Message, &plaintext, &context()?)?;
            assert_eq!(blob.len(), size + suite.overhead());
            assert_eq!(open(&kek, &blob, &context()?)?, plaintext);
        }
    }
    Ok(())
}

#[test]
fn every_changed_bit_and_every_cut_is_refused_alike() -> Result<()> {
    for suite in [Suite::GcmSiv, Suite::AesKw] {
        let kek = KeyEncryptionKey::generate(suite)?;
        kek.rotate()?;
        let blob = kek.seal(Content::Message, b"a message", &context()?)?;
        for index in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                if let Some(byte) = changed.get_mut(index) {
                    *byte ^= 1 << bit;
                }
                assert_eq!(open(&kek, &changed, &context()?), Err(Error::Decrypt));
            }
            let cut = blob.get(..index).unwrap_or_default();
            assert_eq!(open(&kek, cut, &context()?), Err(Error::Decrypt));
        }
        let longer: Vec<u8> = blob.iter().copied().chain([0]).collect();
        assert_eq!(open(&kek, &longer, &context()?), Err(Error::Decrypt));
    }
    Ok(())
}

#[test]
fn one_key_one_context_one_content() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let other = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let blob = kek.seal(Content::Key, b"private", &context()?)?;
    assert_eq!(open(&kek, &blob, &context()?), Err(Error::Decrypt));
    assert!(kek.open(Content::Key, &blob, &context()?).is_ok());
    assert!(kek.open(Content::Key, &blob, &Context::EMPTY).is_err());
    assert!(other.open(Content::Key, &blob, &context()?).is_err());
    Ok(())
}

#[test]
fn rewrapping_changes_the_wrap_alone() -> Result<()> {
    for suite in [Suite::GcmSiv, Suite::AesKw] {
        let kek = KeyEncryptionKey::generate(suite)?;
        let blob = kek.seal(Content::Message, b"kept", &context()?)?;
        assert_eq!(kek.rotate()?, 2);
        let mut rewrapped = vec![0; blob.len()];
        kek.rewrap_into(&blob, &mut rewrapped)?;
        assert_eq!(inspect(&rewrapped)?.generation, 2);
        let payload = HEADER_SIZE + suite.wrap_size();
        assert_eq!(blob.get(..STABLE_SIZE), rewrapped.get(..STABLE_SIZE));
        assert_eq!(blob.get(payload..), rewrapped.get(payload..));
        assert_ne!(
            blob.get(STABLE_SIZE..payload),
            rewrapped.get(STABLE_SIZE..payload)
        );
        assert_eq!(open(&kek, &blob, &context()?)?, b"kept");
        assert_eq!(open(&kek, &rewrapped, &context()?)?, b"kept");
        let mut again = vec![0; blob.len()];
        kek.rewrap_into(&rewrapped, &mut again)?;
        assert_eq!(again, rewrapped);
    }
    Ok(())
}

#[test]
fn a_key_comes_back_with_all_generations() -> Result<()> {
    let outer = KeyEncryptionKey::generate(Suite::AesKw)?;
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let old = kek.seal(Content::Message, b"old", &Context::EMPTY)?;
    kek.rotate()?;
    let bundle = kek.wrap_under(&outer)?;
    let back = KeyEncryptionKey::unwrap_under(&outer, &bundle)?;
    assert_eq!((back.id(), back.generations()), (kek.id(), vec![1, 2]));
    assert_eq!(open(&back, &old, &Context::EMPTY)?, b"old");
    assert_eq!(open(&outer, &bundle, &Context::EMPTY), Err(Error::Decrypt));
    assert!(KeyEncryptionKey::unwrap_under(&kek, &bundle).is_err());
    Ok(())
}

#[test]
fn an_id_is_derived_from_the_key_when_none_is_given() -> Result<()> {
    let make = |suite| KeyEncryptionKey::from_key(None, suite, SecretKey::from_slice(&[7; 32])?);
    assert_eq!(make(Suite::GcmSiv)?.id(), make(Suite::GcmSiv)?.id());
    assert_ne!(make(Suite::GcmSiv)?.id(), make(Suite::AesKw)?.id());
    Ok(())
}

#[test]
fn debug_shows_no_key() -> Result<()> {
    let kek = KeyEncryptionKey::from_key(
        Some(KekId::parse("000102030405060708090a0b0c0d0e0f")?),
        Suite::GcmSiv,
        SecretKey::from_slice(&[0x41; 32])?,
    )?;
    let shown = format!("{kek:?}");
    assert_eq!(
        shown,
        "KeyEncryptionKey(000102030405060708090a0b0c0d0e0f, generation 1)"
    );
    Ok(())
}

#[test]
fn a_retired_generation_opens_nothing_and_a_copy_is_adopted_in_place() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let outer = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let old = kek.seal(Content::Message, b"old", &context()?)?;
    let copy = KeyEncryptionKey::unwrap_under(&outer, &kek.wrap_under(&outer)?)?;
    assert_eq!(copy.rotate()?, 2);
    kek.adopt(&copy)?;
    assert_eq!(kek.generations(), [1, 2]);
    let mut moved = vec![0; old.len()];
    kek.rewrap_into(&old, &mut moved)?;
    copy.retire()?;
    kek.adopt(&copy)?;
    assert_eq!(kek.generations(), [2]);
    assert!(open(&kek, &old, &context()?).is_err());
    assert_eq!(open(&kek, &moved, &context()?)?, b"old");
    let kept = KeyEncryptionKey::unwrap_under(&outer, &kek.wrap_under(&outer)?)?;
    assert_eq!(kept.generations(), [2]);
    assert_eq!(kek.rotate()?, 3);
    let other = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    assert!(matches!(kek.adopt(&other), Err(Error::Usage(_))));
    Ok(())
}
