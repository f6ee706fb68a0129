//! The strict check of a JSON body before it is decoded.
//!
//! RFC 8259 leaves open what a repeated member means, how large a number may be and how deep a text
//! may nest, and decoders differ. A body that passes here has the same meaning for all of them. The
//! check is one pass over the bytes; it converts nothing, and it keeps only the names of the
//! members of the objects that it is inside.

use std::collections::HashSet;
use std::fmt;

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many objects and arrays may be nested; the body itself is the first.
    pub depth: usize,
    /// How many members of objects and elements of arrays there may be in total.
    pub members: usize,
}

/// What is wrong with a body, and where; never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: &'static str,
    /// The offset in bytes.
    pub position: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the body is not acceptable JSON: {} at byte {}",
            self.kind, self.position
        )
    }
}

/// Checks that a body is one JSON object, within the limits, that every decoder reads alike.
pub fn check(body: &[u8], limits: Limits) -> Result<(), Fault> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(Fault {
            kind: "invalid UTF-8",
            position: error.valid_up_to(),
        });
    }
    let mut checker = Checker {
        body,
        limits,
        members: 0,
        position: 0,
    };
    checker.document()
}

struct Checker<'a> {
    body: &'a [u8],
    limits: Limits,
    members: usize,
    position: usize,
}

/// An object or array that is not closed yet.
enum Open {
    Array,
    Object(HashSet<Vec<u8>>),
}

impl<'a> Checker<'a> {
    fn document(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(self.fault("something other than an object"));
        }
        let mut open: Vec<Open> = Vec::new();
        loop {
            // A value starts here. Opening an object or array moves on to its first value.
            if self.value(&mut open)? {
                continue;
            }
            // A value has ended: continue in the innermost, or close it, as often as necessary.
            loop {
                self.skip_space();
                let Some(innermost) = open.last_mut() else {
                    return if self.peek().is_none() {
                        Ok(())
                    } else {
                        Err(self.fault("something after the end"))
                    };
                };
                match (self.peek(), innermost) {
                    (Some(b','), Open::Array) => {
                        self.position += 1;
                        self.count()?;
                    }
                    (Some(b','), Open::Object(names)) => {
                        self.position += 1;
                        self.skip_space();
                        self.member(names)?;
                    }
                    (Some(b']'), Open::Array) | (Some(b'}'), Open::Object(_)) => {
                        self.position += 1;
                        open.pop();
                        continue;
                    }
                    (Some(_), _) => return Err(self.fault("a missing comma or bracket")),
                    (None, _) => return Err(self.fault("an early end")),
                }
                break;
            }
        }
    }

    /// Checks one value; true if it opened something whose first value comes next.
    fn value(&mut self, open: &mut Vec<Open>) -> Result<bool, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                self.enter(open)?;
                let mut names = HashSet::new();
                self.skip_space();
                if self.peek() == Some(b'}') {
                    self.position += 1;
                    return Ok(false);
                }
                self.member(&mut names)?;
                open.push(Open::Object(names));
                Ok(true)
            }
            Some(b'[') => {
                self.enter(open)?;
                self.skip_space();
                if self.peek() == Some(b']') {
                    self.position += 1;
                    return Ok(false);
                }
                self.count()?;
                open.push(Open::Array);
                Ok(true)
            }
            Some(b'"') => self.string(None).map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(_) => Err(self.fault("something that is not a value")),
            None => Err(self.fault("an early end")),
        }
    }

    fn enter(&mut self, open: &[Open]) -> Result<(), Fault> {
        if open.len() >= self.limits.depth {
            return Err(self.fault("too deep a nesting"));
        }
        self.position += 1;
        Ok(())
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(self.fault("too many members"));
        }
        Ok(())
    }

    /// Checks the name of a member and the colon after it.
    fn member(&mut self, names: &mut HashSet<Vec<u8>>) -> Result<(), Fault> {
        let start = self.position;
        if self.peek() != Some(b'"') {
            return Err(self.fault(if start >= self.body.len() {
                "an early end"
            } else {
                "a member without a name"
            }));
        }
        self.count()?;
        let mut name = Vec::new();
        self.string(Some(&mut name))?;
        if !names.insert(name) {
            return Err(Fault {
                kind: "a repeated member",
                position: start,
            });
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.fault("a member without a value"));
        }
        self.position += 1;
        Ok(())
    }

    /// Checks a string, from quote to quote, and decodes it if required.
    fn string(&mut self, mut decoded: Option<&mut Vec<u8>>) -> Result<(), Fault> {
        self.position += 1;
        loop {
            let start = self.position;
            let rest = self.body.get(start..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .unwrap_or(rest.len());
            if let Some(text) = decoded.as_deref_mut() {
                text.extend_from_slice(rest.get(..plain).unwrap_or_default());
            }
            self.position += plain;
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    if let Some(text) = decoded.as_deref_mut() {
                        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
                Some(_) => return Err(self.fault("a control character in a string")),
                None => return Err(self.fault("an early end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.position;
        self.position += 1;
        let escaped = match self.next() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                return Err(Fault {
                    kind: "an unknown escape",
                    position: start,
                })
            }
        };
        Ok(escaped)
    }

    /// Checks `\uXXXX`, and the second half of a surrogate pair after it.
    fn unicode(&mut self, start: usize) -> Result<char, Fault> {
        let unpaired = Fault {
            kind: "half of a surrogate pair",
            position: start,
        };
        let first = self.hexadecimal(start)?;
        let point = match first {
            0xd800..=0xdbff => {
                if (self.next(), self.next()) != (Some(b'\\'), Some(b'u')) {
                    return Err(unpaired);
                }
                match self.hexadecimal(start)? {
                    second @ 0xdc00..=0xdfff => {
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => return Err(unpaired),
                }
            }
            point => point,
        };
        char::from_u32(point).ok_or(unpaired)
    }

    fn hexadecimal(&mut self, start: usize) -> Result<u32, Fault> {
        let mut point = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or(Fault {
                kind: "an unknown escape",
                position: start,
            })?;
            point = point << 4 | digit;
        }
        Ok(point)
    }

    /// Checks a number by its digits alone.
    ///
    /// Integers go to 2^53 in magnitude, the range in which every decoder is exact (RFC 8259
    /// section 6). Numbers with a fraction or an exponent stay below 10^15 and have at most 32
    /// digits.
    fn number(&mut self) -> Result<(), Fault> {
        let start = self.position;
        let huge = Fault {
            kind: "too large a number",
            position: start,
        };
        let malformed = Fault {
            kind: "a malformed number",
            position: start,
        };
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
            return Err(malformed);
        }
        if whole.len() > LARGEST_INTEGER.len()
            || (whole.len() == LARGEST_INTEGER.len() && whole > LARGEST_INTEGER)
        {
            return Err(huge);
        }
        let mut fraction: &'a [u8] = &[];
        if self.peek() == Some(b'.') {
            self.position += 1;
            fraction = self.digits();
            if fraction.is_empty() {
                return Err(malformed);
            }
        }
        if fraction.len() + whole.len() > MAX_DIGITS {
            return Err(huge);
        }
        if !matches!(self.peek(), Some(b'e' | b'E')) {
            return Ok(());
        }
        self.position += 1;
        let negative = self.peek() == Some(b'-');
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.position += 1;
        }
        let exponent = self.digits();
        let Some(exponent) = small(exponent) else {
            return Err(if exponent.is_empty() { malformed } else { huge });
        };
        // The place of the first significant digit, counted from the point: 1 is the units.
        let leading = whole
            .iter()
            .chain(fraction)
            .position(|&digit| digit != b'0');
        let Some(leading) = leading else {
            return Ok(());
        };
        if !negative && exponent + whole.len() > LARGEST_MAGNITUDE + leading {
            return Err(huge);
        }
        Ok(())
    }

    fn digits(&mut self) -> &'a [u8] {
        let rest = self.body.get(self.position..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<bool, Fault> {
        let rest = self.body.get(self.position..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.fault("something that is not a value"));
        }
        self.position += word.len();
        Ok(false)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.position += 1;
        byte
    }

    fn fault(&self, kind: &'static str) -> Fault {
        Fault {
            kind,
            position: self.position,
        }
    }
}

/// An exponent of at most two digits.
fn small(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 2 {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |all, &digit| all * 10 + usize::from(digit - b'0')),
    )
}

/// 2^53, the largest integer up to which every double is exact.
const LARGEST_INTEGER: &[u8] = b"9007199254740992";
/// Numbers with an exponent have at most this many digits before the point.
const LARGEST_MAGNITUDE: usize = 15;
/// The most digits of one number.
const MAX_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        depth: 16,
        members: 1000,
    };

    #[test]
    fn whatever_passes_is_an_object_to_another_parser() {
        // Every text of up to six of these pieces that begins like an object; Miri takes its time.
        let (rounds, enough) = if cfg!(miri) { (3, 3) } else { (5, 20) };
        let pieces = ["{", "}", "[", "]", ":", ",", "\"a\"", "1", " "];
        let mut texts = vec![String::from("{")];
        let mut passed = 0;
        for _ in 0..rounds {
            texts = texts
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
                .collect();
            for text in &texts {
                let strict = check(text.as_bytes(), LIMITS).is_ok();
                let other: Result<serde_json::Value, _> = serde_json::from_str(text);
                let object = other.is_ok_and(|value| value.is_object());
                assert_eq!(strict, object, "{text}");
                passed += usize::from(strict);
            }
        }
        assert!(passed > enough, "{passed}");
    }

    #[test]
    fn every_prefix_of_a_body_is_refused() {
        let body =
            br#"{"a":[1,-2.5e-3,"x\u00e9\ud83d\ude00",{"b":null}],"c":{"d":true,"e":false}}"#;
        assert_eq!(check(body, LIMITS), Ok(()));
        for length in 0..body.len() {
            assert!(
                check(body.get(..length).unwrap_or_default(), LIMITS).is_err(),
                "{length}"
            );
        }
    }
}
