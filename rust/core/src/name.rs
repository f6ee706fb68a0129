//! Names of objects.
//!
//! A name enters the program here and nowhere else. Policy, storage and audit use the result of
//! this module, so no two of them can read one name differently.

use std::fmt;

/// The longest name of an object.
pub const MAX_LENGTH: usize = 127;

/// What a name is, in words.
pub const RULE: &str = "a name is 1 to 127 letters (a-z), digits and hyphens, and nothing else";

/// The length of a version.
pub const VERSION_LENGTH: usize = 32;

/// The name of a secret, a key or a certificate: `^[0-9a-zA-Z-]{1,127}$`.
///
/// Names keep their original case and compare without it, by their key.
#[derive(Debug, Clone)]
pub struct ObjectName {
    name: String,
    key: String,
}

impl ObjectName {
    /// Parses a name.
    ///
    /// Nothing is decoded or trimmed first: a name that needs it is not a name.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        if raw.is_empty() || raw.len() > MAX_LENGTH || !raw.iter().all(|&byte| is_name_byte(byte)) {
            return None;
        }
        let name = std::str::from_utf8(raw).ok()?.to_owned();
        let key = name.to_ascii_uppercase();
        Some(Self { name, key })
    }

    /// The name as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The one canonical form, upper case: the order of listings, and what names compare by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for ObjectName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ObjectName {}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// Parses a version, 32 hexadecimal digits of either case, to its canonical lower case.
#[must_use]
pub fn parse_version(raw: &[u8]) -> Option<String> {
    if raw.len() != VERSION_LENGTH || !raw.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(std::str::from_utf8(raw).ok()?.to_ascii_lowercase())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_case_and_compare_without_it() {
        let name = ObjectName::parse(b"Db-Password-1");
        assert_eq!(name.as_ref().map(ObjectName::as_str), Some("Db-Password-1"));
        assert_eq!(name.as_ref().map(ObjectName::key), Some("DB-PASSWORD-1"));
        assert_eq!(name, ObjectName::parse(b"dB-pASSWORD-1"));
    }

    #[test]
    fn everything_else_is_no_name() {
        for raw in [
            &b""[..],
            b".",
            b"..",
            b"a.b",
            b"a/b",
            b"a b",
            b"a%2e",
            b"a_b",
            b"a;x=1",
            b"a\0",
            b"a\n",
            "ä".as_bytes(),
            "\u{212a}".as_bytes(),
            &[b'a'; 128],
            b"\xff",
        ] {
            assert!(ObjectName::parse(raw).is_none(), "{raw:?}");
        }
        assert!(ObjectName::parse(&[b'a'; 127]).is_some());
    }

    #[test]
    fn versions_are_32_hexadecimal_digits() {
        let canonical = parse_version(b"0123456789ABCDEFabcdef0123456789");
        assert_eq!(
            canonical.as_deref(),
            Some("0123456789abcdefabcdef0123456789")
        );
        for raw in [&b""[..], &[b'a'; 31], &[b'a'; 33], &[b'g'; 32], &[0xff; 32]] {
            assert!(parse_version(raw).is_none(), "{raw:?}");
        }
    }
}
