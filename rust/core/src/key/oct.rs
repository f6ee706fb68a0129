//! Symmetric keys: AES (FIPS 197) and HMAC (RFC 2104).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use aes_kw::{KeyInit, KwAes192, KwpAes192};
use aws_lc_rs::aead::{
    Aad, LessSafeKey, Nonce, UnboundKey, AES_128_GCM, AES_192_GCM, AES_256_GCM, NONCE_LEN,
};
use aws_lc_rs::cipher::{
    DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey, AES_128, AES_192, AES_256,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap, KeyWrapPadded};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use super::algorithm::{AesSize, Algorithm, Hash};
use super::{unfit, Encrypted};
use crate::{Error, Result};

/// A symmetric key.
pub(super) struct OctKey {
    value: Zeroizing<Vec<u8>>,
    // The expanded AES key and GHASH tables: a seal with them costs a third of one without.
    gcm: OnceLock<LessSafeKey>,
    gcm_seals: AtomicU64,
}

impl OctKey {
    pub(super) fn generate(bits: usize) -> Result<Self> {
        if !(128..=512).contains(&bits) || !bits.is_multiple_of(8) {
            return Err(Error::Usage(format!(
                "an oct key of {bits} bits cannot be created; use 128, 192 or 256 for AES, \
                 up to 512 in whole bytes for HMAC"
            )));
        }
        let mut value = Zeroizing::new(vec![0; bits / 8]);
        rand::fill(&mut value).map_err(|_| Error::Backend)?;
        Self::from_bytes(&value)
    }

    pub(super) fn from_bytes(value: &[u8]) -> Result<Self> {
        if !(SHORTEST..=LONGEST).contains(&value.len()) {
            return Err(Error::KeyFormat(format!(
                "an oct key must have {SHORTEST} to {LONGEST} bytes, not {}",
                value.len()
            )));
        }
        Ok(Self {
            value: Zeroizing::new(value.to_vec()),
            gcm: OnceLock::new(),
            gcm_seals: AtomicU64::new(0),
        })
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    pub(super) fn bits(&self) -> usize {
        self.value.len() * 8
    }

    pub(super) fn aes_size(&self) -> Option<AesSize> {
        AesSize::of_key(&self.value)
    }

    pub(super) fn sign(&self, algorithm: Algorithm, value: &[u8]) -> Result<Vec<u8>> {
        Ok(hmac::sign(&self.hmac(algorithm)?, value).as_ref().to_vec())
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        value: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        // CT: the backend compares tags in constant time.
        Ok(hmac::verify(&self.hmac(algorithm)?, value, signature).is_ok())
    }

    fn hmac(&self, algorithm: Algorithm) -> Result<hmac::Key> {
        let Algorithm::Hmac(hash) = algorithm else {
            return Err(unfit(algorithm, "oct"));
        };
        if self.value.len() < hash.output_len() {
            return Err(Error::Algorithm(format!(
                "{} needs a key of at least {} bits, and this one has {}",
                algorithm.name(),
                hash.output_len() * 8,
                self.bits()
            )));
        }
        let backend = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Ok(hmac::Key::new(backend, &self.value))
    }

    pub(super) fn encrypt(
        &self,
        algorithm: Algorithm,
        plaintext: &[u8],
        nonce: Option<&[u8]>,
        associated_data: &[u8],
    ) -> Result<Encrypted> {
        match algorithm {
            Algorithm::Gcm(size) => {
                self.check_size(algorithm, size)?;
                if nonce.is_some() {
                    return Err(Error::Algorithm(format!(
                        "{} creates its nonce itself; leave the nonce out",
                        algorithm.name()
                    )));
                }
                self.encrypt_gcm(size, plaintext, associated_data)
            }
            Algorithm::Cbc(size) | Algorithm::CbcPad(size) => {
                self.check_size(algorithm, size)?;
                refuse_associated_data(algorithm, associated_data)?;
                let nonce = cbc_nonce(algorithm, nonce)?;
                let ciphertext = self.encrypt_cbc(algorithm, size, plaintext, nonce)?;
                Ok(Encrypted {
                    ciphertext,
                    nonce: Some(nonce.to_vec()),
                    tag: None,
                })
            }
            other => Err(unfit(other, "oct")),
        }
    }

    pub(super) fn decrypt(
        &self,
        algorithm: Algorithm,
        ciphertext: &[u8],
        nonce: Option<&[u8]>,
        tag: Option<&[u8]>,
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        match algorithm {
            Algorithm::Gcm(size) => {
                self.check_size(algorithm, size)?;
                let (Some(nonce), Some(tag)) = (nonce, tag) else {
                    return Err(Error::Algorithm(format!(
                        "{} needs the nonce and the tag that encrypting returned",
                        algorithm.name()
                    )));
                };
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| {
                    Error::Algorithm(format!(
                        "{} needs a nonce of {NONCE_LEN} bytes, not {}",
                        algorithm.name(),
                        nonce.len()
                    ))
                })?;
                let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
                self.gcm(size)?
                    .open_separate_gather(
                        nonce,
                        Aad::from(associated_data),
                        ciphertext,
                        tag,
                        &mut plaintext,
                    )
                    .map_err(|_| Error::Decrypt)?;
                Ok(plaintext)
            }
            Algorithm::Cbc(size) | Algorithm::CbcPad(size) => {
                self.check_size(algorithm, size)?;
                refuse_associated_data(algorithm, associated_data)?;
                if tag.is_some() {
                    return Err(Error::Algorithm(format!(
                        "{} has no tag; leave the tag out",
                        algorithm.name()
                    )));
                }
                let nonce = cbc_nonce(algorithm, nonce)?;
                self.decrypt_cbc(algorithm, size, ciphertext, nonce)
            }
            other => Err(unfit(other, "oct")),
        }
    }

    fn encrypt_gcm(
        &self,
        size: AesSize,
        plaintext: &[u8],
        associated_data: &[u8],
    ) -> Result<Encrypted> {
        // SP 800-38D section 8.3: with random nonces, no more than 2^32 messages under one key.
        if self.gcm_seals.fetch_add(1, Ordering::Relaxed) >= MOST_GCM_SEALS {
            return Err(Error::Algorithm(
                "this key has encrypted 2^32 messages with GCM; use a new one".to_owned(),
            ));
        }
        let mut nonce = vec![0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Error::Backend)?;
        let mut ciphertext = vec![0; plaintext.len()];
        let mut tag = vec![0; GCM_TAG_LEN];
        self.gcm(size)?
            .seal_out_of_place_scatter(
                Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Error::Backend)?,
                Aad::from(associated_data),
                plaintext,
                &mut ciphertext,
                &[],
                &mut tag,
            )
            .map_err(|_| Error::Backend)?;
        Ok(Encrypted {
            ciphertext,
            nonce: Some(nonce),
            tag: Some(tag),
        })
    }

    fn gcm(&self, size: AesSize) -> Result<&LessSafeKey> {
        if let Some(key) = self.gcm.get() {
            return Ok(key);
        }
        let algorithm = match size {
            AesSize::Bits128 => &AES_128_GCM,
            AesSize::Bits192 => &AES_192_GCM,
            AesSize::Bits256 => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, &self.value).map_err(|_| Error::Backend)?;
        Ok(self.gcm.get_or_init(|| LessSafeKey::new(key)))
    }

    fn encrypt_cbc(
        &self,
        algorithm: Algorithm,
        size: AesSize,
        plaintext: &[u8],
        nonce: &[u8; BLOCK],
    ) -> Result<Vec<u8>> {
        let key = self.cipher(size)?;
        let context = EncryptionContext::Iv128(FixedLength::from(nonce));
        // Room for the padding, so that no plaintext stays in a buffer that was outgrown.
        let mut in_out = Vec::with_capacity(plaintext.len() + BLOCK);
        in_out.extend_from_slice(plaintext);
        if let Algorithm::CbcPad(_) = algorithm {
            PaddedBlockEncryptingKey::cbc_pkcs7(key)
                .and_then(|key| key.less_safe_encrypt(&mut in_out, context))
                .map_err(|_| Error::Backend)?;
        } else {
            if !plaintext.len().is_multiple_of(BLOCK) {
                return Err(Error::Algorithm(format!(
                    "{} needs whole blocks of {BLOCK} bytes, not {} bytes; \
                     use the algorithm that pads",
                    algorithm.name(),
                    plaintext.len()
                )));
            }
            EncryptingKey::cbc(key)
                .and_then(|key| key.less_safe_encrypt(&mut in_out, context))
                .map_err(|_| Error::Backend)?;
        }
        Ok(in_out)
    }

    fn decrypt_cbc(
        &self,
        algorithm: Algorithm,
        size: AesSize,
        ciphertext: &[u8],
        nonce: &[u8; BLOCK],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let key = self.cipher(size)?;
        let context = DecryptionContext::Iv128(FixedLength::from(nonce));
        let mut in_out = Zeroizing::new(ciphertext.to_vec());
        let len = if let Algorithm::CbcPad(_) = algorithm {
            PaddedBlockDecryptingKey::cbc_pkcs7(key)
                .and_then(|key| key.decrypt(&mut in_out, context).map(|plain| plain.len()))
        } else {
            DecryptingKey::cbc(key)
                .and_then(|key| key.decrypt(&mut in_out, context).map(|plain| plain.len()))
        }
        .map_err(|_| Error::Decrypt)?;
        in_out.truncate(len);
        Ok(in_out)
    }

    fn cipher(&self, size: AesSize) -> Result<UnboundCipherKey> {
        let algorithm = match size {
            AesSize::Bits128 => &AES_128,
            AesSize::Bits192 => &AES_192,
            AesSize::Bits256 => &AES_256,
        };
        UnboundCipherKey::new(algorithm, &self.value).map_err(|_| Error::Backend)
    }

    pub(super) fn wrap(&self, algorithm: Algorithm, key: &[u8]) -> Result<Vec<u8>> {
        let (size, padded) = self.wrap_mode(algorithm)?;
        if padded && key.is_empty() {
            return Err(Error::Algorithm(format!(
                "{} cannot wrap an empty key",
                algorithm.name()
            )));
        }
        if !padded && (key.len() < 2 * SEMIBLOCK || !key.len().is_multiple_of(SEMIBLOCK)) {
            return Err(Error::Algorithm(format!(
                "{} wraps 16 bytes or more, in whole {SEMIBLOCK} bytes, not {} bytes; \
                 use the algorithm that pads",
                algorithm.name(),
                key.len()
            )));
        }
        wrap(&self.value, size, padded, key)
    }

    pub(super) fn unwrap(
        &self,
        algorithm: Algorithm,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let (size, padded) = self.wrap_mode(algorithm)?;
        unwrap(&self.value, size, padded, wrapped)
    }

    fn wrap_mode(&self, algorithm: Algorithm) -> Result<(AesSize, bool)> {
        let (size, padded) = match algorithm {
            Algorithm::KeyWrap(size) => (size, false),
            Algorithm::KeyWrapPad(size) => (size, true),
            other => return Err(unfit(other, "oct")),
        };
        let own = self.aes_size().ok_or_else(|| self.not_aes(algorithm))?;
        if let Some(size) = size {
            self.check_size(algorithm, size)?;
        }
        Ok((own, padded))
    }

    fn check_size(&self, algorithm: Algorithm, size: AesSize) -> Result<()> {
        if self.aes_size() == Some(size) {
            Ok(())
        } else {
            Err(self.not_aes(algorithm))
        }
    }

    fn not_aes(&self, algorithm: Algorithm) -> Error {
        Error::Algorithm(format!(
            "{} does not fit a key of {} bits",
            algorithm.name(),
            self.bits()
        ))
    }
}

/// Wraps with AES-KW (RFC 3394) or AES-KWP (RFC 5649).
pub(super) fn wrap(kek: &[u8], size: AesSize, padded: bool, key: &[u8]) -> Result<Vec<u8>> {
    let mut wrapped = vec![0; key.len().next_multiple_of(SEMIBLOCK) + SEMIBLOCK];
    let written = match size {
        AesSize::Bits192 if padded => KwpAes192::new_from_slice(kek)
            .map_err(|_| Error::Backend)?
            .wrap_key(key, &mut wrapped)
            .map_err(|_| Error::Backend)?
            .len(),
        AesSize::Bits192 => KwAes192::new_from_slice(kek)
            .map_err(|_| Error::Backend)?
            .wrap_key(key, &mut wrapped)
            .map_err(|_| Error::Backend)?
            .len(),
        _ => {
            let kek = backend_kek(kek, size)?;
            let out = if padded {
                kek.wrap_with_padding(key, &mut wrapped)
            } else {
                kek.wrap(key, &mut wrapped)
            };
            out.map_err(|_| Error::Backend)?.len()
        }
    };
    wrapped.truncate(written);
    Ok(wrapped)
}

/// Unwraps what [`wrap`] wrapped.
pub(super) fn unwrap(
    kek: &[u8],
    size: AesSize,
    padded: bool,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let shortest = if padded { 2 * SEMIBLOCK } else { 3 * SEMIBLOCK };
    if wrapped.len() < shortest || !wrapped.len().is_multiple_of(SEMIBLOCK) {
        return Err(Error::Decrypt);
    }
    let mut key = Zeroizing::new(vec![0; wrapped.len()]);
    let written = match size {
        AesSize::Bits192 if padded => KwpAes192::new_from_slice(kek)
            .map_err(|_| Error::Backend)?
            .unwrap_key(wrapped, &mut key)
            .map_err(|_| Error::Decrypt)?
            .len(),
        AesSize::Bits192 => KwAes192::new_from_slice(kek)
            .map_err(|_| Error::Backend)?
            .unwrap_key(wrapped, &mut key)
            .map_err(|_| Error::Decrypt)?
            .len(),
        _ => {
            let kek = backend_kek(kek, size)?;
            let out = if padded {
                kek.unwrap_with_padding(wrapped, &mut key)
            } else {
                kek.unwrap(wrapped, &mut key)
            };
            out.map_err(|_| Error::Decrypt)?.len()
        }
    };
    key.truncate(written);
    Ok(key)
}

fn backend_kek(kek: &[u8], size: AesSize) -> Result<AesKek> {
    let cipher = match size {
        AesSize::Bits128 => &key_wrap::AES_128,
        _ => &key_wrap::AES_256,
    };
    AesKek::new(cipher, kek).map_err(|_| Error::Backend)
}

fn cbc_nonce(algorithm: Algorithm, nonce: Option<&[u8]>) -> Result<&[u8; BLOCK]> {
    nonce
        .and_then(|nonce| nonce.try_into().ok())
        .ok_or_else(|| {
            Error::Algorithm(format!(
                "{} needs a nonce of {BLOCK} bytes",
                algorithm.name()
            ))
        })
}

fn refuse_associated_data(algorithm: Algorithm, associated_data: &[u8]) -> Result<()> {
    if associated_data.is_empty() {
        Ok(())
    } else {
        Err(Error::Algorithm(format!(
            "{} authenticates nothing, so it has no associated data; use GCM",
            algorithm.name()
        )))
    }
}

/// Shorter keys are within reach of an attacker (SP 800-131A).
const SHORTEST: usize = 16;
/// The block of SHA-512: HMAC hashes a longer key down to it (RFC 2104 section 3).
const LONGEST: usize = 128;
const BLOCK: usize = 16;
const SEMIBLOCK: usize = 8;
const GCM_TAG_LEN: usize = 16;
const MOST_GCM_SEALS: u64 = 1 << 32;
