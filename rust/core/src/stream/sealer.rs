//! Seals a stream.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::segment::{Held, Position, Segments};
use super::{SEALED_SIZE, SEGMENT_SIZE};
use crate::context::Context;
use crate::envelope::{self, Content, Randomness, Transcript, RANDOM_SIZE, TAG_SIZE};
use crate::kek::KeyEncryptionKey;
use crate::{Error, Result};

/// Seals a stream, piece by piece.
pub struct Sealer {
    segments: Segments,
    held: Held,
    // Empty after it was written.
    head: Vec<u8>,
    finished: bool,
}

impl Sealer {
    /// Starts a stream under the newest generation of `kek`.
    pub fn new(kek: &KeyEncryptionKey, context: &Context) -> Result<Self> {
        let mut random = Zeroizing::new([0; RANDOM_SIZE]);
        rand::fill(random.as_mut_slice()).map_err(|_| Error::Backend)?;
        Self::with_randomness(kek, context, random.as_slice())
    }

    pub(crate) fn with_randomness(
        kek: &KeyEncryptionKey,
        context: &Context,
        random: &[u8],
    ) -> Result<Self> {
        let random = Randomness::of(random)?;
        let (header, mut head) = kek.start(Content::Stream, &random)?;
        let stable = envelope::stable(&header)?;
        let context = context.as_bytes();
        let mut transcript = Transcript::for_context(context.len());
        transcript.write(random.data_key, random.payload_nonce, stable, context)?;
        head.extend_from_slice(random.payload_nonce);
        head.extend_from_slice(&envelope::commitment(&transcript)?);
        Ok(Self {
            segments: Segments::new(random.data_key, random.payload_nonce, &transcript)?,
            held: Held::new(SEGMENT_SIZE),
            head,
            finished: false,
        })
    }

    /// The size of what [`Self::update`] writes for `arriving` bytes.
    #[must_use]
    pub fn update_size(&self, arriving: usize) -> usize {
        self.head.len() + self.held.releasable(arriving) * SEALED_SIZE
    }

    /// Takes more plaintext, and writes the part of the envelope that is complete.
    pub fn update(&mut self, plaintext: &[u8], out: &mut [u8]) -> Result<()> {
        self.check()?;
        let mut rest = write_head(&mut self.head, out)?;
        let segments = &mut self.segments;
        self.held.cut(plaintext, |segment| {
            let (place, after) = std::mem::take(&mut rest)
                .split_at_mut_checked(SEALED_SIZE)
                .ok_or(Error::Backend)?;
            rest = after;
            segments.seal(Position::Inner, segment, place)
        })
    }

    /// The size of what [`Self::finish`] writes.
    #[must_use]
    pub fn finish_size(&self) -> usize {
        self.head.len() + self.held.bytes().len() + TAG_SIZE
    }

    /// Ends the stream, and writes the rest of the envelope.
    pub fn finish(&mut self, out: &mut [u8]) -> Result<()> {
        self.check()?;
        self.finished = true;
        let rest = write_head(&mut self.head, out)?;
        self.segments.seal(Position::Last, self.held.bytes(), rest)
    }

    fn check(&self) -> Result<()> {
        if self.finished {
            return Err(Error::Usage(
                "the stream has ended; start another".to_owned(),
            ));
        }
        Ok(())
    }
}

fn write_head<'a>(head: &mut Vec<u8>, out: &'a mut [u8]) -> Result<&'a mut [u8]> {
    let (place, rest) = out.split_at_mut_checked(head.len()).ok_or(Error::Backend)?;
    place.copy_from_slice(head);
    head.clear();
    Ok(rest)
}
