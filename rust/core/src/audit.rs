//! The records of the audit log and their hash chain.
//!
//! A record is one line of printable ASCII that holds a JSON object. Its last member is the
//! SHA-256 of a label and of everything on the line before that member; the member before it is
//! the hash of the record before. Nothing has to be brought into a canonical form to verify it.
//! Behind the hash stands a MAC of it, which only the vault can compute.
//!
//! ```text
//! {"time":...,"sequence":7,"previous":"<64 hex digits>","hash":"<64 hex digits>","mac":"<32>"}
//! hash = SHA-256("vaultcore audit record 1\n" || line up to and without `,"hash":`)
//! mac  = HMAC-SHA256(key, "vaultcore audit mac 1\n" || hash), the first 16 bytes
//! ```

mod entry;
mod mac;

pub use entry::{ends_segment, Entry};
pub use mac::{Mac, MacKey};

use std::io::Write as _;

use aws_lc_rs::digest::{Context, SHA256};

use crate::principal::Principal;

/// What the hash of every record begins with.
pub const LABEL: &[u8] = b"vaultcore audit record 1\n";
/// The longest line that can be written, newline included.
pub const MAX_LINE: usize = 64 * 1024;
/// The category of ordinary records.
pub const CATEGORY: &str = "AuditEvent";
/// The operation of the record that ends a segment.
pub const ROTATED: &str = "AuditLogRotated";
/// The operation of the record that tells of a torn end.
pub const REPAIRED: &str = "AuditLogRepaired";

/// What stands before the revision of a record; no text of a client can hold it.
const REVISION: &[u8] = b",\"revision\":";
/// The most entries of `extra` in one record.
const MAX_EXTRA: usize = 16;

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

/// A value of the members that an operation adds.
#[derive(Debug, Clone)]
pub enum Extra {
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// One record, before it has a place in the chain.
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    /// The address of the caller.
    pub address: &'a str,
    /// The version of the API that was asked for.
    pub api_version: &'a str,
    /// What the client says it is.
    pub client_info: &'a str,
    /// The client's id of the request.
    pub correlation_id: &'a str,
    /// How long it took.
    pub duration_ms: f64,
    /// What the operation adds.
    pub extra: &'a [(String, Extra)],
    /// The URL of the object.
    pub object_id: &'a str,
    /// The operation's name.
    pub operation: &'a str,
    /// Who asked, if that is known.
    pub principal: Option<&'a Principal>,
    /// The URL that was asked for.
    pub request_uri: &'a str,
    /// More about the result.
    pub result_description: &'a str,
    /// The revision of the store that a change made, if it was one.
    pub revision: Option<u64>,
    /// The HTTP status.
    pub status: u16,
    /// The time, in seconds since the Unix epoch.
    pub time: f64,
    /// The vault.
    pub vault: &'a str,
}

/// Appends a record to `line`, chained to `previous`, newline included; returns its position.
pub fn write(
    line: &mut Vec<u8>,
    record: &Record<'_>,
    previous: Position,
    key: Option<&MacKey>,
) -> Position {
    let start = line.len();
    members(line, record);
    let sequence = previous.sequence.saturating_add(1);
    line.extend_from_slice(b",\"sequence\":");
    push_number(line, sequence, 1);
    line.extend_from_slice(b",\"previous\":\"");
    push_hex(line, &previous.head);
    line.push(b'"');
    let head = hash(line.get(start..).unwrap_or_default());
    line.extend_from_slice(b",\"hash\":\"");
    push_hex(line, &head);
    if let Some(key) = key {
        line.extend_from_slice(b"\",\"mac\":\"");
        push_hex(line, &key.of_record(&head));
    }
    line.extend_from_slice(b"\"}\n");
    Position { head, sequence }
}

/// A hash in lower-case hexadecimal digits.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * hash.len());
    push_hex(&mut text, hash);
    String::from_utf8(text).unwrap_or_default()
}

/// The SHA-256 of what a record of a torn end tells about, taken piece by piece.
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
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash, as it stands in a record.
    #[must_use]
    pub fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

fn hash(covered: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(LABEL);
    context.update(covered);
    let mut hash = Hash::default();
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

fn members(text: &mut Vec<u8>, record: &Record<'_>) {
    text.extend_from_slice(b"{\"time\":\"");
    push_time(text, record.time);
    text.extend_from_slice(
        b"\",\"resourceId\":\"/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000",
    );
    text.extend_from_slice(b"/RESOURCEGROUPS/VAULTCORE/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/");
    push_escaped(text, &record.vault.to_ascii_uppercase(), 64);
    text.extend_from_slice(b"\",\"operationName\":\"");
    push_escaped(text, record.operation, 64);
    text.extend_from_slice(b"\",\"operationVersion\":\"");
    push_escaped(text, record.api_version, 32);
    text.extend_from_slice(b"\",\"category\":\"");
    text.extend_from_slice(CATEGORY.as_bytes());
    text.extend_from_slice(b"\",\"resultType\":\"");
    text.extend_from_slice(if record.status < 400 {
        b"Success"
    } else {
        b"Failure"
    });
    text.extend_from_slice(b"\",\"resultSignature\":\"");
    text.extend_from_slice(reason(record.status).as_bytes());
    text.extend_from_slice(b"\",\"resultDescription\":\"");
    push_escaped(text, record.result_description, 1024);
    text.extend_from_slice(b"\",\"durationMs\":");
    push_milliseconds(text, record.duration_ms);
    text.extend_from_slice(b",\"callerIpAddress\":\"");
    push_escaped(text, record.address, 64);
    text.extend_from_slice(b"\",\"correlationId\":\"");
    push_escaped(text, record.correlation_id, 128);
    text.extend_from_slice(b"\",\"identity\":{");
    if let Some(principal) = record.principal {
        push_identity(text, principal);
    }
    text.extend_from_slice(b"},\"properties\":{\"clientInfo\":\"");
    push_escaped(text, record.client_info, 512);
    text.extend_from_slice(b"\",\"requestUri\":\"");
    push_escaped(text, record.request_uri, 2048);
    text.extend_from_slice(b"\",\"id\":\"");
    push_escaped(text, record.object_id, 512);
    text.extend_from_slice(b"\",\"httpStatusCode\":");
    push_number(text, record.status.into(), 3);
    if let Some(revision) = record.revision {
        text.extend_from_slice(REVISION);
        push_number(text, revision, 1);
    }
    push_extra(text, record.extra);
    text.push(b'}');
}

fn push_identity(text: &mut Vec<u8>, principal: &Principal) {
    text.extend_from_slice(
        b"\"claim\":{\"http://schemas.microsoft.com/identity/claims/objectidentifier\":\"",
    );
    push_escaped(text, &principal.object_id, 128);
    text.extend_from_slice(b"\",\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn\":\"");
    push_escaped(text, &principal.name, 256);
    text.extend_from_slice(b"\",\"appid\":\"");
    push_escaped(text, &principal.app_id, 128);
    text.extend_from_slice(b"\",\"http://schemas.microsoft.com/identity/claims/tenantid\":\"");
    push_escaped(text, &principal.tenant_id, 128);
    text.extend_from_slice(b"\",\"iss\":\"");
    push_escaped(text, &principal.issuer, 256);
    text.extend_from_slice(b"\"}");
}

fn push_extra(text: &mut Vec<u8>, extra: &[(String, Extra)]) {
    let fixed = [
        "clientInfo",
        "requestUri",
        "id",
        "httpStatusCode",
        "revision",
    ];
    for (index, (name, value)) in extra.iter().enumerate() {
        let repeated = extra.iter().take(index).any(|(before, _)| before == name);
        if index >= MAX_EXTRA || repeated || fixed.contains(&name.as_str()) {
            continue;
        }
        text.extend_from_slice(b",\"");
        push_escaped(text, name, 64);
        text.extend_from_slice(b"\":");
        match value {
            Extra::Flag(true) => text.extend_from_slice(b"true"),
            Extra::Flag(false) => text.extend_from_slice(b"false"),
            Extra::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Extra::Text(value) => {
                text.push(b'"');
                push_escaped(text, value, 512);
                text.push(b'"');
            }
        }
    }
}

/// Appends the inside of a JSON string: printable ASCII only, no more than `limit` characters and
/// three times as many bytes, so that no record outgrows `MAX_LINE`.
///
/// Everything else is escaped, so that no terminal, line reader or JSON reader sees anything but
/// one string: no control character, no line separator, no change of direction. What was cut off
/// is counted.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "vector instructions have no branches"
)]
fn push_escaped(text: &mut Vec<u8>, value: &str, limit: usize) {
    // Without a branch for each byte, so that the compiler makes vector instructions of it.
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    if value.len() <= limit && value.bytes().fold(true, |all, byte| all & plain(byte)) {
        text.extend_from_slice(value.as_bytes());
        return;
    }
    let end = text.len() + 3 * limit;
    let mut rest = value.chars();
    let mut taken = 0;
    while taken < limit && text.len() < end {
        let Some(character) = rest.next() else { return };
        taken += 1;
        match u8::try_from(character) {
            Ok(b'"') => text.extend_from_slice(b"\\\""),
            Ok(b'\\') => text.extend_from_slice(b"\\\\"),
            Ok(byte @ b' '..=b'~') => text.push(byte),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    let cut = rest.count();
    if cut > 0 {
        let _ = write!(text, "...(+{cut})");
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    text.extend(
        bytes
            .iter()
            .flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

/// Appends a number in decimal, with at least as many digits as asked for.
fn push_number(text: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if rest == 0 && used >= width {
            break;
        }
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
    }
    text.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
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

fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
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

/// Appends a duration with three decimals; what is no duration is 0.
fn push_milliseconds(text: &mut Vec<u8>, duration: f64) {
    let duration = if duration.is_finite() {
        duration.clamp(0.0, 1e12)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above"
    )]
    let microseconds = (duration * 1e3).round() as u64;
    push_number(text, microseconds / 1000, 1);
    text.push(b'.');
    push_number(text, microseconds % 1000, 3);
}

/// Appends a time as RFC 3339 in UTC with six decimals.
///
/// Times outside of the years 1970 to 9999 are moved to the nearer end.
fn push_time(text: &mut Vec<u8>, time: f64) {
    let time = if time.is_finite() {
        time.clamp(0.0, 253_402_300_799.0)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above"
    )]
    let microseconds = (time * 1e6).round() as u64;
    let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let parts = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (fraction, 6, b'Z'),
    ];
    for (number, width, mark) in parts {
        push_number(text, number, width);
        text.push(mark);
    }
}

/// The date of a day since 1970, in the proleptic Gregorian calendar.
///
/// Counts in eras of 400 years that begin on the first of March, so that the leap day is the last
/// one of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The reason phrase of a status (RFC 9110 section 15).
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &Record<'_>, previous: Position) -> (Vec<u8>, Position) {
        let mut line = Vec::new();
        let position = write(&mut line, record, previous, None);
        (line, position)
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
    fn a_record_with_a_mac_is_known_by_its_key_alone() {
        let keys = [MacKey::new(&[1; 32]), MacKey::new(&[2; 32])];
        let mut line = Vec::new();
        let record = Record {
            revision: Some(41),
            ..Record::default()
        };
        let position = write(&mut line, &record, Position::default(), keys.first());
        let entry = line.strip_suffix(b"\n").and_then(Entry::read);
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
        let mut line = Vec::new();
        write(&mut line, &record, Position::default(), Some(&key));
        let read = |line: &[u8]| {
            let entry = Entry::read(line)?;
            key.made_record(&entry.position.head, &entry.mac?)
                .then_some(())
        };
        let line = line.strip_suffix(b"\n").unwrap_or_default();
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

    #[test]
    fn numbers_have_the_digits_they_should() {
        for (number, width, expected) in [
            (0, 1, "0"),
            (0, 3, "000"),
            (7, 2, "07"),
            (1234, 2, "1234"),
            (u64::MAX, 1, "18446744073709551615"),
        ] {
            let mut text = Vec::new();
            push_number(&mut text, number, width);
            assert_eq!(text, expected.as_bytes());
        }
    }
}
