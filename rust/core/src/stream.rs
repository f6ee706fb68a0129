//! The streaming form of the envelope.

use crate::envelope::TAG_SIZE;

/// The plaintext size of a full segment.
pub const SEGMENT_SIZE: usize = 65_536;

/// The size of the plaintext in a body of whole segments; none if no stream has such a body.
pub(crate) fn payload_size(body: usize) -> Option<u64> {
    let segments = body.div_ceil(SEGMENT_SIZE + TAG_SIZE);
    let plaintext = body.checked_sub(segments.checked_mul(TAG_SIZE)?)?;
    // An empty segment ends an empty stream only.
    (plaintext > 0 || segments == 1).then_some(plaintext as u64)
}
