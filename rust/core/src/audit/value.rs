//! Texts, numbers and times as they stand in a record: printable ASCII, whatever they hold.

use std::io::Write as _;

/// Appends the inside of a JSON string: printable ASCII only, no more than `limit` characters and
/// three times as many bytes, so that no record outgrows `MAX_LINE`.
///
/// Everything else is escaped, so that no terminal, line reader or JSON reader sees anything but
/// one string: no control character, no line separator, no change of direction. What was cut off
/// is counted.
pub(super) fn push_escaped(text: &mut Vec<u8>, value: &str, limit: usize) {
    if value.len() <= limit && is_plain(value.as_bytes()) {
        text.extend_from_slice(value.as_bytes());
    } else {
        push_piecewise(text, value, limit);
    }
}

/// The same with ASCII letters in upper case.
pub(super) fn push_escaped_upper(text: &mut Vec<u8>, value: &str, limit: usize) {
    if value.len() <= limit && is_plain(value.as_bytes()) {
        text.extend(value.bytes().map(|byte| byte.to_ascii_uppercase()));
    } else {
        push_piecewise(text, &value.to_ascii_uppercase(), limit);
    }
}

/// Whether all characters stand for themselves.
///
/// Nearly always they do, and to find that out is a large part of the work of a record. So it takes
/// eight bytes at a time, the last of which may overlap those before, and decides at the end.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut padded = [b' '; 8];
        for (to, &from) in padded.iter_mut().zip(rest) {
            *to = from;
        }
        padded
    });
    let odd = words
        .iter()
        .fold(odd_bits(last), |odd, &word| odd | odd_bits(word));
    odd & (ONES << 7) == 0
}

/// A number of eight bytes that are 1 each.
const ONES: u64 = u64::MAX / 255;

/// Eight bytes, some of which have their highest bit set if and only if one of those given cannot
/// stand for itself in a JSON string of printable ASCII.
///
/// A subtraction borrows, and an addition carries, only from a byte that has the bit set anyway.
const fn odd_bits(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let delete = word.wrapping_add(ONES);
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    word | delete | control | quote | backslash
}

fn push_piecewise(text: &mut Vec<u8>, value: &str, limit: usize) {
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

/// Appends a number in decimal, with at least as many digits as asked for.
pub(super) fn push_number(text: &mut Vec<u8>, number: u64, width: usize) {
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

/// A number in smaller units, between 0 and a largest one; 0 for what is not finite.
fn whole(number: f64, most: f64, units: f64) -> u64 {
    let number = if number.is_finite() {
        number.clamp(0.0, most)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above"
    )]
    let whole = (number * units).round() as u64;
    whole
}

/// Appends a duration with three decimals; anything else is 0.
pub(super) fn push_milliseconds(text: &mut Vec<u8>, duration: f64) {
    let microseconds = whole(duration, 1e12, 1e3);
    push_number(text, microseconds / 1000, 1);
    text.push(b'.');
    push_number(text, microseconds % 1000, 3);
}

/// Writes times as RFC 3339 in UTC with six decimals.
///
/// Most records come in the same second as the one before, so the date is kept.
#[derive(Debug, Clone)]
pub(super) struct Clockface {
    /// The second that is shown, since the Unix epoch.
    second: u64,
    shown: [u8; 27],
}

impl Default for Clockface {
    fn default() -> Self {
        Self {
            second: 0,
            shown: *b"1970-01-01T00:00:00.000000Z",
        }
    }
}

impl Clockface {
    /// Appends a time, in seconds since the Unix epoch.
    ///
    /// Times outside of the years 1970 to 9999 are moved to the nearer end.
    pub(super) fn push(&mut self, text: &mut Vec<u8>, time: f64) {
        let microseconds = whole(time, 253_402_300_799.0, 1e6);
        let (second, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
        if second != self.second {
            self.second = second;
            self.turn(second);
        }
        self.set(20, fraction / 10_000);
        self.set(22, fraction / 100);
        self.set(24, fraction);
        text.extend_from_slice(&self.shown);
    }

    fn turn(&mut self, second: u64) {
        let (days, second) = (second / 86_400, second % 86_400);
        let (year, month, day) = civil(days);
        self.set(0, year / 100);
        self.set(2, year);
        self.set(5, month);
        self.set(8, day);
        self.set(11, second / 3600);
        self.set(14, second / 60 % 60);
        self.set(17, second % 60);
    }

    fn set(&mut self, place: usize, number: u64) {
        if let Some(digits) = self.shown.get_mut(place..place + 2) {
            digits.copy_from_slice(&two_digits(number));
        }
    }
}

/// The last two digits of a number.
fn two_digits(number: u64) -> [u8; 2] {
    let [tens, ones] = [number / 10 % 10, number % 10];
    [tens, ones].map(|digit| b'0' + u8::try_from(digit).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_beside_every_other_is_told_apart() {
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let expected = plain(first) && plain(second);
                assert_eq!(is_plain(&[first, second]), expected, "{first} {second}");
                let longer = [b'a', b'a', first, second, b'a', b'a', b'a', b'a', b'a'];
                assert_eq!(is_plain(&longer), expected, "{first} {second}");
            }
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn one_character_in_any_place_is_escaped() {
        let special = [
            ('"', "\\\""),
            ('\\', "\\\\"),
            ('\u{1f}', "\\u001f"),
            (' ', " "),
            ('~', "~"),
            ('\u{7f}', "\\u007f"),
            ('\u{e9}', "\\u00e9"),
            ('\u{1f600}', "\\ud83d\\ude00"),
        ];
        for length in 0..50 {
            for place in 0..length {
                for (character, escaped) in special {
                    let (before, after) = ("a".repeat(place), "a".repeat(length - place - 1));
                    let value = format!("{before}{character}{after}");
                    let expected = format!("{before}{escaped}{after}");
                    let mut text = Vec::new();
                    push_escaped(&mut text, &value, 64);
                    assert_eq!(text, expected.as_bytes());
                    let (before, after) = (before.to_uppercase(), after.to_uppercase());
                    let expected = format!("{before}{escaped}{after}");
                    text.clear();
                    push_escaped_upper(&mut text, &value, 64);
                    assert_eq!(text, expected.as_bytes());
                }
            }
        }
    }

    #[test]
    fn a_time_does_not_depend_on_the_one_before() {
        let times = [
            (0.0, "1970-01-01T00:00:00.000000Z"),
            (0.999_999, "1970-01-01T00:00:00.999999Z"),
            (0.999_999_9, "1970-01-01T00:00:01.000000Z"),
            (951_782_399.999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400.0, "2000-02-29T00:00:00.000000Z"),
            (1_451_957_521.269_122, "2016-01-05T01:32:01.269122Z"),
            (253_402_300_799.0, "9999-12-31T23:59:59.000000Z"),
            (1e30, "9999-12-31T23:59:59.000000Z"),
            (-1.0, "1970-01-01T00:00:00.000000Z"),
            (f64::NAN, "1970-01-01T00:00:00.000000Z"),
        ];
        let mut clockface = Clockface::default();
        for (before, _) in times {
            for (time, written) in times {
                clockface.push(&mut Vec::new(), before);
                let mut text = Vec::new();
                clockface.push(&mut text, time);
                assert_eq!(text, written.as_bytes());
            }
        }
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
