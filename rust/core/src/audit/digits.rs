//! Hashes and MACs in hexadecimal digits.

use super::{Hash, Mac};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A hash in lower-case hexadecimal digits.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * hash.len());
    push_hex(&mut text, hash);
    String::from_utf8(text).unwrap_or_default()
}

/// A hash from its 64 lower-case hexadecimal digits.
#[must_use]
pub fn unhex_hash(digits: &str) -> Option<Hash> {
    unhex(digits.as_bytes())
}

/// A MAC from its 32 lower-case hexadecimal digits.
#[must_use]
pub fn unhex_mac(digits: &str) -> Option<Mac> {
    unhex(digits.as_bytes())
}

pub(super) fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    text.extend(
        bytes
            .iter()
            .flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

pub(super) fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (to, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let mut byte = 0;
        for &digit in pair {
            // Upper-case digits are another line than the one that was written.
            let value = HEX.iter().position(|&known| known == digit)?;
            byte = byte << 4 | u8::try_from(value).ok()?;
        }
        *to = byte;
    }
    Some(bytes)
}
