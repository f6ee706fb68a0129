//! Bytes that are wiped when they are dropped, and that never show themselves.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Result};

/// The size of every symmetric key of the envelope format.
pub const KEY_SIZE: usize = 32;

/// A 256-bit symmetric key.
///
/// There is no `Clone` and no comparison: a copy or a comparison of a key must be a visible
/// decision in the code. The bytes are in a box of their own, because moving a value leaves a copy
/// of its bytes.
pub struct SecretKey(Box<Zeroizing<[u8; KEY_SIZE]>>);

impl SecretKey {
    /// Draws a key from the backend's DRBG.
    pub fn generate() -> Result<Self> {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_SIZE]));
        rand::fill(bytes.as_mut_slice()).map_err(|_| Error::Backend)?;
        Ok(Self(bytes))
    }

    /// Creates a key from given bytes; there must be exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != KEY_SIZE {
            return Err(Error::KeyFormat(format!(
                "a key-encryption key has {KEY_SIZE} bytes, not {}",
                bytes.len()
            )));
        }
        let mut key = Box::new(Zeroizing::new([0; KEY_SIZE]));
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The bytes themselves. The caller is responsible for them.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_SIZE] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}

/// Secret bytes of any length, for example a plaintext between two seals.
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Creates a buffer of zeros to be filled in place.
    ///
    /// The size never changes afterwards: growing a buffer would leave copies.
    #[must_use]
    pub fn zeroed(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, to be written.
    #[must_use]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes(..)")
    }
}

/// Overwrites what earlier calls left on the stack.
///
/// For functions of the backend that do not wipe their own key schedules. They must be called from
/// the function that calls this, and not be inlined there.
#[inline(never)]
pub(crate) fn wipe_stack() {
    // The size is generous: the data to wipe has less than 1 KiB.
    let mut below = [0_u8; 4096];
    std::hint::black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_exactly_32_bytes() {
        assert!(SecretKey::from_slice(&[7; 31]).is_err());
        assert!(SecretKey::from_slice(&[7; 33]).is_err());
        assert_eq!(
            SecretKey::from_slice(&[7; 32]).map(|key| *key.expose()),
            Ok([7; 32])
        );
    }

    #[test]
    fn debug_shows_nothing() -> Result<()> {
        let key = SecretKey::from_slice(&[0x41; 32])?;
        let bytes = SecretBytes::zeroed(4);
        assert_eq!(
            format!("{key:?} {bytes:?}"),
            "SecretKey(..) SecretBytes(..)"
        );
        Ok(())
    }
}
