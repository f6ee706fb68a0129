//! Texts, numbers and times as they stand in a record: printable ASCII, whatever they hold.

use std::io::Write as _;

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
pub(super) fn push_escaped(text: &mut Vec<u8>, value: &str, limit: usize) {
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

/// Appends a duration with three decimals; what is no duration is 0.
pub(super) fn push_milliseconds(text: &mut Vec<u8>, duration: f64) {
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
pub(super) fn push_time(text: &mut Vec<u8>, time: f64) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
