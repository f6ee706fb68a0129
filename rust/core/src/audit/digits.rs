//! Hashes and MACs in hexadecimal digits.

use super::{Hash, Mac};

/// A hash in lower-case hexadecimal digits.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    hash.iter()
        .flat_map(|&byte| pair(byte))
        .map(char::from)
        .collect()
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

/// Appends bytes in lower-case hexadecimal digits.
pub(super) fn push_hex<const N: usize>(text: &mut Vec<u8>, bytes: &[u8; N]) {
    let mut digits = [[0; 2]; N];
    for (to, &byte) in digits.iter_mut().zip(bytes) {
        *to = pair(byte);
    }
    text.extend_from_slice(digits.as_flattened());
}

/// Without a table, so that the compiler makes vector instructions of it.
const fn pair(byte: u8) -> [u8; 2] {
    [digit(byte >> 4), digit(byte & 15)]
}

const fn digit(nibble: u8) -> u8 {
    let letters = if nibble > 9 { b'a' - b'0' - 10 } else { 0 };
    nibble.wrapping_add(b'0').wrapping_add(letters)
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
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            byte = byte << 4 | value;
        }
        *to = byte;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_digits_and_comes_back() {
        for byte in 0..=u8::MAX {
            let mut text = Vec::new();
            push_hex(&mut text, &[byte; 32]);
            assert_eq!(text, format!("{byte:02x}").repeat(32).as_bytes());
            assert_eq!(hex(&[byte]), format!("{byte:02x}"));
            assert_eq!(unhex(&text), Some([byte; 32]));
        }
    }

    #[test]
    fn only_lower_case_digits_are_taken() {
        for wrong in ["0", "000", "0A", "g0", "/0", ":0", "`0", " 0", "+1"] {
            assert_eq!(unhex::<1>(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
