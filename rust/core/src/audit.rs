//! The records of the audit log and their hash chain.
//!
//! A record is one line of printable ASCII that contains a JSON object. Its last member is the
//! SHA-256 of a label and of everything on the line before that member; the member before it is
//! the hash of the previous record. Nothing must be brought into a canonical form to verify it.
//! After the hash comes a MAC of it, which only the vault can compute.
//!
//! ```text
//! {"time":...,"sequence":7,"previous":"<64 hex digits>","hash":"<64 hex digits>","mac":"<32>"}
//! hash = SHA-256("vaultcore audit record 1\n" || line up to and without `,"hash":`)
//! mac  = HMAC-SHA256(key, "vaultcore audit mac 1\n" || hash), the first 16 bytes
//! ```
mod digits;
mod entry;
mod mac;
mod record;
mod value;

pub use digits::{hex, unhex_hash, unhex_mac};
pub use entry::{ends_segment, Entry};
pub use mac::{Mac, MacKey, DOCUMENT};
pub use record::{Extra, Record};

use aws_lc_rs::digest::{digest, Context, SHA256};

use self::digits::push_hex;
use self::record::members;
use self::value::{push_number, Clockface};

/// The prefix of every hashed record.
pub const LABEL: &[u8] = b"vaultcore audit record 1\n";
/// The longest line that can be written, newline included.
pub const MAX_LINE: usize = 64 * 1024;
/// The operation of the record that ends a segment.
pub const ROTATED: &str = "AuditLogRotated";
/// The operation of the record about a torn end.
pub const REPAIRED: &str = "AuditLogRepaired";

/// What comes before the revision of a record; no text of a client can contain it.
const REVISION: &[u8] = b",\"revision\":";

/// The hash of a record.
pub type Hash = [u8; 32];

/// A place in the chain: the last record that was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Its hash; zeros before the first record.
    pub head: Hash,
    /// Its number, from 1; 0 before the first record.
    pub sequence: u64,
}

/// A line of the log, written again and again in the same memory.
///
/// The label stands in front of it, so that what the hash covers lies in one piece.
#[derive(Debug, Clone)]
pub struct Line {
    clockface: Clockface,
    text: Vec<u8>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            clockface: Clockface::default(),
            text: LABEL.to_vec(),
        }
    }
}

impl Line {
    /// Writes a record, chained to `previous`, newline included; returns its position.
    pub fn write(
        &mut self,
        record: &Record<'_>,
        previous: Position,
        key: Option<&MacKey>,
    ) -> Position {
        let text = &mut self.text;
        text.truncate(LABEL.len());
        members(text, record, &mut self.clockface);
        let sequence = previous.sequence.saturating_add(1);
        text.extend_from_slice(b",\"sequence\":");
        push_number(text, sequence, 1);
        text.extend_from_slice(b",\"previous\":\"");
        push_hex(text, &previous.head);
        text.push(b'"');
        let head = to_hash(digest(&SHA256, text).as_ref());
        text.extend_from_slice(b",\"hash\":\"");
        push_hex(text, &head);
        if let Some(key) = key {
            text.extend_from_slice(b"\",\"mac\":\"");
            push_hex(text, &key.of_record(&head));
        }
        text.extend_from_slice(b"\"}\n");
        Position { head, sequence }
    }

    /// The line that was written, newline included; empty if none was.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.get(LABEL.len()..).unwrap_or_default()
    }
}

/// The SHA-256 of the data in the record of a torn end, computed piece by piece.
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sha256")
    }
}

impl Sha256 {
    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash, in the form of a record.
    #[must_use]
    pub fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

fn hash(covered: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(LABEL);
    context.update(covered);
    to_hash(context.finish().as_ref())
}

fn to_hash(digest: &[u8]) -> Hash {
    // A SHA-256 has 32 bytes.
    digest.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Principal;

    fn written(record: &Record<'_>, previous: Position) -> (Vec<u8>, Position) {
        let mut line = Line::default();
        let position = line.write(record, previous, None);
        (line.bytes().to_vec(), position)
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn what_is_written_is_read() {
        let record = Record {
            operation: "SecretGet",
            status: 200,
            ..Record::default()
        };
        let mut position = Position::default();
        for sequence in 1..=12 {
            let (line, next) = written(&record, position);
            assert_eq!(next.sequence, sequence);
            let entry = line.strip_suffix(b"\n").and_then(Entry::read);
            assert!(entry.is_some_and(|entry| entry.follows(position)));
            assert_eq!(entry.map(|entry| entry.position), Some(next));
            position = next;
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn a_line_leaves_nothing_of_the_one_before() {
        let long = Record {
            request_uri: "https://dev.vault.localhost/secrets/a",
            ..Record::default()
        };
        let short = Record::default();
        let mut line = Line::default();
        assert_eq!(line.bytes(), b"");
        let first = line.write(&long, Position::default(), None);
        assert_eq!(line.bytes(), written(&long, Position::default()).0);
        line.write(&short, first, None);
        assert_eq!(line.bytes(), written(&short, first).0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn a_record_with_a_mac_is_known_by_its_key_alone() {
        let keys = [MacKey::new(&[1; 32]), MacKey::new(&[2; 32])];
        let mut line = Line::default();
        let record = Record {
            revision: Some(41),
            ..Record::default()
        };
        let position = line.write(&record, Position::default(), keys.first());
        let entry = line.bytes().strip_suffix(b"\n").and_then(Entry::read);
        assert_eq!(entry.map(|entry| entry.position), Some(position));
        assert_eq!(entry.and_then(|entry| entry.revision), Some(41));
        let mac = entry.and_then(|entry| entry.mac).unwrap_or_default();
        let made = keys
            .each_ref()
            .map(|key| key.made_record(&position.head, &mac));
        assert_eq!(made, [true, false]);
        let (unkeyed, _) = written(&record, Position::default());
        let entry = unkeyed.strip_suffix(b"\n").and_then(Entry::read);
        assert!(entry.is_some_and(|entry| entry.mac.is_none()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn no_byte_of_a_record_can_change() {
        let record = Record {
            operation: "SecretGet",
            status: 200,
            ..Record::default()
        };
        let key = MacKey::new(&[1; 32]);
        let mut line = Line::default();
        line.write(&record, Position::default(), Some(&key));
        let read = |line: &[u8]| {
            let entry = Entry::read(line)?;
            key.made_record(&entry.position.head, &entry.mac?)
                .then_some(())
        };
        let line = line.bytes().strip_suffix(b"\n").unwrap_or_default();
        assert!(read(line).is_some());
        for (index, byte) in line.iter().enumerate() {
            let mut changed = line.to_vec();
            if let Some(place) = changed.get_mut(index) {
                *place = byte ^ 1;
            }
            assert_eq!(read(&changed), None, "{index}");
            assert_eq!(read(line.get(..index).unwrap_or_default()), None, "{index}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn the_largest_record_fits() {
        let text = "\u{1f600}".repeat(10_000);
        let principal = Principal {
            app_id: text.clone(),
            groups: Vec::new(),
            issuer: text.clone(),
            name: text.clone(),
            object_id: text.clone(),
            tenant_id: text.clone(),
        };
        let extra: Vec<_> = (0..40)
            .map(|n| (format!("{n}{text}"), Extra::Text(text.clone())))
            .collect();
        let record = Record {
            address: &text,
            api_version: &text,
            client_info: &text,
            correlation_id: &text,
            duration_ms: f64::MAX,
            extra: &extra,
            object_id: &text,
            operation: &text,
            principal: Some(&principal),
            request_uri: &text,
            result_description: &text,
            revision: Some(u64::MAX),
            status: u16::MAX,
            time: f64::MAX,
            vault: &text,
        };
        let (line, _) = written(
            &record,
            Position {
                head: [255; 32],
                sequence: u64::MAX - 1,
            },
        );
        assert!(line.len() < MAX_LINE, "{}", line.len());
        assert!(line
            .iter()
            .all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn only_the_operation_itself_ends_a_segment() {
        let quoted = "\",\"operationName\":\"AuditLogRotated\"";
        let imitation = Record {
            vault: quoted,
            request_uri: quoted,
            ..Record::default()
        };
        assert!(!ends_segment(&written(&imitation, Position::default()).0));
        let longer = Record {
            operation: "AuditLogRotatedNot",
            ..Record::default()
        };
        assert!(!ends_segment(&written(&longer, Position::default()).0));
        let real = Record {
            operation: ROTATED,
            ..Record::default()
        };
        assert!(ends_segment(&written(&real, Position::default()).0));
    }
}
