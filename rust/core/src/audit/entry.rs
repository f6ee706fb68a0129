//! Reads a line of the log: its place in the chain, and whether the vault wrote it.

use super::digits::unhex;
use super::{hash, Hash, Mac, Position, REVISION, ROTATED};

/// A line that is whole: its hash fits what comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is the record that ends a segment.
    pub ends_segment: bool,
    /// Its MAC, if it has one.
    pub mac: Option<Mac>,
    /// Its own place.
    pub position: Position,
    /// The hash of the record that it names as the previous one.
    pub previous: Hash,
    /// The revision of the store that it names, if it does.
    pub revision: Option<u64>,
}

impl Entry {
    /// Reads a line, which comes without its newline; none if it is not whole.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let (inner, mac) = split_mac(line.strip_suffix(b"\"}")?)?;
        let (before, claimed) = inner.split_at_checked(inner.len().checked_sub(64)?)?;
        let covered = before.strip_suffix(b",\"hash\":\"")?;
        let head = hash(covered);
        if unhex::<32>(claimed)? != head {
            return None;
        }
        // `,"sequence":N,"previous":"<64>"` is the end of what the hash covers.
        let before = covered.strip_suffix(b"\"")?;
        let (before, previous) = before.split_at_checked(before.len().checked_sub(64)?)?;
        let previous = unhex(previous)?;
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
        Some(Self {
            ends_segment: ends_segment(before),
            mac,
            position: Position { head, sequence },
            previous,
            revision: revision(before),
        })
    }

    /// Whether it is the next record after a place.
    #[must_use]
    pub fn follows(&self, before: Position) -> bool {
        self.previous == before.head
            && before.sequence.checked_add(1) == Some(self.position.sequence)
    }
}

/// Splits the MAC off the end of a line, if there is one.
fn split_mac(inner: &[u8]) -> Option<(&[u8], Option<Mac>)> {
    let Some((before, digits)) = inner.split_at_checked(inner.len().checked_sub(32)?) else {
        return Some((inner, None));
    };
    match before.strip_suffix(b"\",\"mac\":\"") {
        Some(before) => Some((before, Some(unhex(digits)?))),
        None => Some((inner, None)),
    }
}

/// Whether a written line is the record that ends a segment.
#[must_use]
pub fn ends_segment(line: &[u8]) -> bool {
    // Quotes are escaped inside values, and only values come before this member, so the first
    // place that reads like it is it.
    behind(line, b",\"operationName\":\"").is_some_and(|rest| {
        rest.strip_prefix(ROTATED.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'"'))
    })
}

/// The revision of the store that a line names.
fn revision(line: &[u8]) -> Option<u64> {
    // Searched from the member before it, which is near the end.
    let digits = behind(line, REVISION)?;
    let length = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(digits.get(..length)?)
        .ok()?
        .parse()
        .ok()
}

/// What follows the first place where a member begins.
fn behind<'a>(line: &'a [u8], member: &[u8]) -> Option<&'a [u8]> {
    let start = line
        .windows(member.len())
        .position(|window| window == member)?;
    line.get(start + member.len()..)
}
