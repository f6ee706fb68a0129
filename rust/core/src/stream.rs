//! The streaming form of the envelope: any size, constant memory.
//!
//! After the head of an envelope come segments, each AES-256-GCM under the data key. The nonce of a
//! segment contains its number and whether it is the last, so that none can be moved, doubled or
//! left out, and a stream that was cut short does not end. This is the STREAM construction of
//! Hoang, Reyhanitabar, Rogaway and Vizár (2015); `docs/envelope.md` has the bytes.

mod opener;
mod sealer;
mod segment;

pub use opener::Opener;
pub use sealer::Sealer;

use crate::envelope::TAG_SIZE;

/// The plaintext size of every segment but the last.
pub const SEGMENT_SIZE: usize = 65_536;

/// The size of every sealed segment but the last.
const SEALED_SIZE: usize = SEGMENT_SIZE + TAG_SIZE;

/// The size of the plaintext in a body of segments; none if no stream has a body of that size.
pub(crate) fn payload_size(body: usize) -> Option<u64> {
    let segments = body.div_ceil(SEALED_SIZE);
    let plaintext = body.checked_sub(segments.checked_mul(TAG_SIZE)?)?;
    let last = body.checked_sub(segments.checked_sub(1)?.checked_mul(SEALED_SIZE)?)?;
    // Only an empty stream ends with an empty segment.
    (last > TAG_SIZE || (segments == 1 && last == TAG_SIZE)).then_some(plaintext as u64)
}

// Not under Miri: the backend is C.
#[cfg(all(test, not(miri)))]
mod tests;
