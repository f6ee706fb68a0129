//! One generation of a key-encryption key: wraps and unwraps data keys.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM_SIV};
use aws_lc_rs::key_wrap::{AesKek, KeyWrap, AES_256};

use crate::envelope::{Suite, HEADER_SIZE, NONCE_SIZE, TAG_SIZE};
use crate::secret::{wipe_stack, SecretKey, KEY_SIZE};
use crate::{Error, Result};

/// A generation: its number, its key, and the key in the backend's form.
pub(super) struct Generation {
    number: u32,
    key: SecretKey,
    wrapping: Wrapping,
}

/// The prepared wrapping key. The backend's key-wrap object can be used only once, so suite 2
/// creates it again from the bytes.
enum Wrapping {
    AesKw,
    GcmSiv(LessSafeKey),
}

impl Generation {
    pub(super) fn new(number: u32, suite: Suite, key: SecretKey) -> Result<Self> {
        let wrapping = match suite {
            Suite::AesKw => Wrapping::AesKw,
            Suite::GcmSiv => Wrapping::GcmSiv(LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM_SIV, key.expose()).map_err(|_| Error::Backend)?,
            )),
        };
        Ok(Self {
            number,
            key,
            wrapping,
        })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Wraps `data_key` into `out`, which has the suite's wrap size.
    ///
    /// The header is the associated data of suite 1. AES-KW has none: there, each field of the
    /// header selects the key, and the commitment binds all of them but the generation.
    pub(super) fn wrap(
        &self,
        header: &[u8; HEADER_SIZE],
        nonce: &[u8; NONCE_SIZE],
        data_key: &[u8; KEY_SIZE],
        out: &mut [u8],
    ) -> Result<()> {
        match &self.wrapping {
            Wrapping::GcmSiv(key) => {
                let (place, rest) = out
                    .split_first_chunk_mut::<NONCE_SIZE>()
                    .ok_or(Error::Backend)?;
                let (ciphertext, tag) = rest
                    .split_last_chunk_mut::<TAG_SIZE>()
                    .ok_or(Error::Backend)?;
                *place = *nonce;
                key.seal_out_of_place_scatter(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(header),
                    data_key,
                    ciphertext,
                    &[],
                    tag,
                )
                .map_err(|_| Error::Backend)
            }
            Wrapping::AesKw => {
                let wrapped = key_wrap(&self.key, data_key, out);
                wipe_stack();
                wrapped
            }
        }
    }

    /// Unwraps the data key of an envelope into `data_key`, in place: moving it would leave a copy.
    pub(super) fn unwrap(
        &self,
        header: &[u8; HEADER_SIZE],
        wrapped: &[u8],
        data_key: &mut [u8; KEY_SIZE],
    ) -> Result<()> {
        match &self.wrapping {
            Wrapping::GcmSiv(key) => {
                let (nonce, rest) = wrapped
                    .split_first_chunk::<NONCE_SIZE>()
                    .ok_or(Error::Decrypt)?;
                let (ciphertext, tag) =
                    rest.split_last_chunk::<TAG_SIZE>().ok_or(Error::Decrypt)?;
                key.open_separate_gather(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(header),
                    ciphertext,
                    tag,
                    data_key,
                )
                .map_err(|_| Error::Decrypt)?;
            }
            Wrapping::AesKw => {
                let unwrapped = key_unwrap(&self.key, wrapped, data_key);
                wipe_stack();
                unwrapped?;
            }
        }
        Ok(())
    }
}

// The backend leaves its key schedule on the stack. These two are frames of their own, so that
// `wipe_stack` overwrites them.

#[inline(never)]
fn key_wrap(key: &SecretKey, data_key: &[u8; KEY_SIZE], out: &mut [u8]) -> Result<()> {
    let kek = AesKek::new(&AES_256, key.expose()).map_err(|_| Error::Backend)?;
    kek.wrap(data_key, out)
        .map(|_| ())
        .map_err(|_| Error::Backend)
}

#[inline(never)]
fn key_unwrap(key: &SecretKey, wrapped: &[u8], data_key: &mut [u8; KEY_SIZE]) -> Result<()> {
    let kek = AesKek::new(&AES_256, key.expose()).map_err(|_| Error::Backend)?;
    kek.unwrap(wrapped, data_key)
        .map(|_| ())
        .map_err(|_| Error::Decrypt)
}
