//! The records of the audit log and their hash chain.
//!
//! A record is one line of printable ASCII that holds a JSON object. Its last member is the
//! SHA-256 of a label and of everything on the line before that member; the member before it is
//! the hash of the record before. Nothing has to be brought into a canonical form to verify it.
//!
//! ```text
//! {"time":...,"sequence":7,"previous":"<64 hex digits>","hash":"<64 hex digits>"}
//! hash = SHA-256("vaultcore audit record 1\n" || line up to and without `,"hash":`)
//! ```

use std::fmt::Write as _;

use aws_lc_rs::digest::{digest, Context, SHA256};

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
    /// The HTTP status.
    pub status: u16,
    /// The time, in seconds since the Unix epoch.
    pub time: f64,
    /// The vault.
    pub vault: &'a str,
}

/// Appends a record to `line`, chained to `previous`, newline included; returns its position.
pub fn write(line: &mut Vec<u8>, record: &Record<'_>, previous: Position) -> Position {
    let start = line.len();
    let mut text = String::with_capacity(1024);
    members(&mut text, record);
    let sequence = previous.sequence.saturating_add(1);
    let _ = write!(text, ",\"sequence\":{sequence},\"previous\":\"");
    push_hex(&mut text, &previous.head);
    text.push('"');
    line.extend_from_slice(text.as_bytes());
    let head = hash(line.get(start..).unwrap_or_default());
    text.clear();
    text.push_str(",\"hash\":\"");
    push_hex(&mut text, &head);
    text.push_str("\"}\n");
    line.extend_from_slice(text.as_bytes());
    Position { head, sequence }
}

/// The place of a written line in the chain, if it is whole: the hash fits what stands before it.
///
/// The line comes without its newline.
#[must_use]
pub fn read(line: &[u8]) -> Option<Position> {
    let inner = line.strip_suffix(b"\"}")?;
    let (before, claimed) = inner.split_at_checked(inner.len().checked_sub(64)?)?;
    let covered = before.strip_suffix(b",\"hash\":\"")?;
    let head = hash(covered);
    if unhex(claimed)? != head {
        return None;
    }
    // `,"sequence":N,"previous":"<64>"` is the end of what the hash covers.
    let before = covered.strip_suffix(b"\"")?;
    let (before, _) = before.split_at_checked(before.len().checked_sub(64)?)?;
    let before = before.strip_suffix(b",\"previous\":\"")?;
    let digits = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (before, number) = before.split_at_checked(before.len().checked_sub(digits)?)?;
    if !before.ends_with(b",\"sequence\":") {
        return None;
    }
    let sequence = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some(Position { head, sequence })
}

/// Whether a written line is the record that ends a segment.
#[must_use]
pub fn ends_segment(line: &[u8]) -> bool {
    // Quotes are escaped inside of values, and only values come before this member, so that the
    // first place that reads like it is it.
    let member = b",\"operationName\":\"";
    let Some(start) = line
        .windows(member.len())
        .position(|window| window == member)
    else {
        return false;
    };
    let rest = line.get(start + member.len()..).unwrap_or_default();
    rest.strip_prefix(ROTATED.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// A hash in lower-case hexadecimal digits.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    let mut text = String::with_capacity(2 * hash.len());
    push_hex(&mut text, hash);
    text
}

/// The SHA-256 of anything, as it stands in a record of a torn end.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
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

fn members(text: &mut String, record: &Record<'_>) {
    text.push_str("{\"time\":\"");
    push_time(text, record.time);
    text.push_str("\",\"resourceId\":\"/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000");
    text.push_str("/RESOURCEGROUPS/VAULTCORE/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/");
    push_escaped(text, &record.vault.to_ascii_uppercase(), 64);
    text.push_str("\",\"operationName\":\"");
    push_escaped(text, record.operation, 64);
    text.push_str("\",\"operationVersion\":\"");
    push_escaped(text, record.api_version, 32);
    text.push_str("\",\"category\":\"");
    text.push_str(CATEGORY);
    text.push_str("\",\"resultType\":\"");
    text.push_str(if record.status < 400 {
        "Success"
    } else {
        "Failure"
    });
    text.push_str("\",\"resultSignature\":\"");
    text.push_str(reason(record.status));
    text.push_str("\",\"resultDescription\":\"");
    push_escaped(text, record.result_description, 1024);
    text.push_str("\",\"durationMs\":");
    push_milliseconds(text, record.duration_ms);
    text.push_str(",\"callerIpAddress\":\"");
    push_escaped(text, record.address, 64);
    text.push_str("\",\"correlationId\":\"");
    push_escaped(text, record.correlation_id, 128);
    text.push_str("\",\"identity\":{");
    if let Some(principal) = record.principal {
        push_identity(text, principal);
    }
    text.push_str("},\"properties\":{\"clientInfo\":\"");
    push_escaped(text, record.client_info, 512);
    text.push_str("\",\"requestUri\":\"");
    push_escaped(text, record.request_uri, 2048);
    text.push_str("\",\"id\":\"");
    push_escaped(text, record.object_id, 512);
    let _ = write!(text, "\",\"httpStatusCode\":{}", record.status);
    push_extra(text, record.extra);
    text.push('}');
}

fn push_identity(text: &mut String, principal: &Principal) {
    text.push_str(
        "\"claim\":{\"http://schemas.microsoft.com/identity/claims/objectidentifier\":\"",
    );
    push_escaped(text, &principal.object_id, 128);
    text.push_str("\",\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn\":\"");
    push_escaped(text, &principal.name, 256);
    text.push_str("\",\"appid\":\"");
    push_escaped(text, &principal.app_id, 128);
    text.push_str("\",\"http://schemas.microsoft.com/identity/claims/tenantid\":\"");
    push_escaped(text, &principal.tenant_id, 128);
    text.push_str("\",\"iss\":\"");
    push_escaped(text, &principal.issuer, 256);
    text.push_str("\"}");
}

fn push_extra(text: &mut String, extra: &[(String, Extra)]) {
    let fixed = ["clientInfo", "requestUri", "id", "httpStatusCode"];
    for (index, (name, value)) in extra.iter().enumerate() {
        let repeated = extra.iter().take(index).any(|(before, _)| before == name);
        if index >= MAX_EXTRA || repeated || fixed.contains(&name.as_str()) {
            continue;
        }
        text.push_str(",\"");
        push_escaped(text, name, 64);
        text.push_str("\":");
        match value {
            Extra::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Extra::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Extra::Text(value) => {
                text.push('"');
                push_escaped(text, value, 512);
                text.push('"');
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
fn push_escaped(text: &mut String, value: &str, limit: usize) {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if value.len() <= limit && value.bytes().all(plain) {
        text.push_str(value);
        return;
    }
    let end = text.len() + 3 * limit;
    let mut rest = value.chars();
    let mut taken = 0;
    while taken < limit && text.len() < end {
        let Some(character) = rest.next() else { return };
        taken += 1;
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' '..='~' => text.push(character),
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

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(
                HEX.get(usize::from(nibble))
                    .map_or('0', |&digit| char::from(digit)),
            );
        }
    }
}

fn unhex(digits: &[u8]) -> Option<Hash> {
    let mut hash = Hash::default();
    for (to, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let mut byte = 0;
        for &digit in pair {
            // Upper-case digits are another line than the one that was written.
            let value = HEX.iter().position(|&known| known == digit)?;
            byte = byte << 4 | u8::try_from(value).ok()?;
        }
        *to = byte;
    }
    Some(hash)
}

/// Appends a duration with three decimals; what is no duration is 0.
fn push_milliseconds(text: &mut String, duration: f64) {
    let duration = if duration.is_finite() {
        duration.clamp(0.0, 1e12)
    } else {
        0.0
    };
    let _ = write!(text, "{duration:.3}");
}

/// Appends a time as RFC 3339 in UTC with six decimals.
///
/// Times outside of the years 1970 to 9999 are moved to the nearer end.
fn push_time(text: &mut String, time: f64) {
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
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
    );
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
