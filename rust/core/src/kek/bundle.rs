//! A key-encryption key with all its generations, sealed under another.

use crate::context::Context;
use crate::envelope::{Content, KekId, Suite, KEK_ID_SIZE};
use crate::kek::generation::Generation;
use crate::kek::{KeyEncryptionKey, Origin};
use crate::secret::{SecretBytes, SecretKey, KEY_SIZE};
use crate::{Error, Result};

impl KeyEncryptionKey {
    /// Seals this key, all generations, under `outer`.
    ///
    /// ```text
    /// suite 1 | id 16 | { generation 4 | key 32 }...
    /// ```
    pub fn wrap_under(&self, outer: &Self) -> Result<Vec<u8>> {
        self.check_own("back that one up instead")?;
        let generations = self.snapshot();
        let mut bundle = SecretBytes::zeroed(FIXED + generations.len() * ENTRY);
        let (fixed, entries) = bundle
            .expose_mut()
            .split_first_chunk_mut::<FIXED>()
            .ok_or(Error::Backend)?;
        let (suite, id) = fixed.split_first_mut().ok_or(Error::Backend)?;
        *suite = self.suite().number();
        id.copy_from_slice(&self.id().0);
        for (entry, generation) in entries.chunks_exact_mut(ENTRY).zip(generations.iter()) {
            let (number, key) = entry.split_first_chunk_mut::<4>().ok_or(Error::Backend)?;
            *number = generation.number().to_be_bytes();
            key.copy_from_slice(generation.key().expose());
        }
        outer.seal(Content::Kek, bundle.expose(), &Context::EMPTY)
    }

    /// Opens what [`Self::wrap_under`] sealed.
    pub fn unwrap_under(outer: &Self, blob: &[u8]) -> Result<Self> {
        let bundle = outer.open(Content::Kek, blob, &Context::EMPTY)?;
        let (fixed, entries) = bundle
            .expose()
            .split_first_chunk::<FIXED>()
            .ok_or(Error::Decrypt)?;
        let (suite, id) = fixed.split_first().ok_or(Error::Decrypt)?;
        let suite = Suite::from_number(*suite).map_err(|_| Error::Decrypt)?;
        let id = KekId(id.try_into().map_err(|_| Error::Decrypt)?);
        if entries.len() % ENTRY != 0 {
            return Err(Error::Decrypt);
        }
        let generations = entries
            .chunks_exact(ENTRY)
            .map(|entry| {
                let (number, key) = entry.split_first_chunk::<4>().ok_or(Error::Decrypt)?;
                Generation::new(
                    u32::from_be_bytes(*number),
                    suite,
                    SecretKey::from_slice(key)?,
                )
            })
            .collect::<Result<Vec<_>>>()?;
        Self::from_generations(id, suite, Origin::Own, generations)
    }
}

const FIXED: usize = 1 + KEK_ID_SIZE;
const ENTRY: usize = 4 + KEY_SIZE;
