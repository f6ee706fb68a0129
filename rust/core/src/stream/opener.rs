//! Opens a stream.

use zeroize::Zeroizing;

use super::segment::{Held, Position, Segments};
use super::{SEALED_SIZE, SEGMENT_SIZE};
use crate::context::Context;
use crate::envelope::{self, Content, Parts, Transcript, TAG_SIZE};
use crate::kek::KeyEncryptionKey;
use crate::secret::KEY_SIZE;
use crate::{Error, Result};

/// Opens a stream, piece by piece.
///
/// Its output is authentic and in order; only when [`Self::finish`] succeeds is it known that
/// nothing is missing at the end.
pub struct Opener {
    state: State,
    held: Held,
}

enum State {
    /// The head is not complete.
    Head(Vec<u8>),
    Body(Segments),
    /// Ended, successfully or not.
    Over(Error),
}

impl Opener {
    /// Waits for the head of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Head(Vec::new()),
            held: Held::new(SEALED_SIZE),
        }
    }

    /// Takes the part of the head from the start of `sealed`, and returns the rest.
    ///
    /// The head is checked when it is complete: the key, the context, the commitment.
    pub fn read_head<'a>(
        &mut self,
        kek: &KeyEncryptionKey,
        context: &Context,
        sealed: &'a [u8],
    ) -> Result<&'a [u8]> {
        let State::Head(head) = &mut self.state else {
            return Ok(sealed);
        };
        let read = complete(head, sealed).and_then(|rest| {
            let segments = rest.map(|_| begin(kek, context, head)).transpose()?;
            Ok((rest, segments))
        });
        match read {
            Ok((Some(rest), Some(segments))) => {
                self.state = State::Body(segments);
                Ok(rest)
            }
            Ok(_) => Ok(&[]),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The size of what [`Self::update`] writes for `arriving` bytes after the head.
    #[must_use]
    pub fn update_size(&self, arriving: usize) -> usize {
        self.held.releasable(arriving) * SEGMENT_SIZE
    }

    /// Takes more of the envelope, after its head, and writes the plaintext that is authenticated.
    pub fn update(&mut self, sealed: &[u8], out: &mut [u8]) -> Result<()> {
        let segments = match &mut self.state {
            State::Body(segments) => segments,
            State::Head(_) if sealed.is_empty() => return Ok(()),
            State::Head(_) => return Err(Error::Backend),
            State::Over(error) => return Err(error.clone()),
        };
        let mut rest = &mut *out;
        let all = self.held.cut(sealed, |segment| {
            let (place, after) = std::mem::take(&mut rest)
                .split_at_mut_checked(SEGMENT_SIZE)
                .ok_or(Error::Backend)?;
            rest = after;
            segments.open(Position::Inner, segment, place)
        });
        all.map_err(|error| {
            out.fill(0);
            self.fail(error)
        })
    }

    /// The size of what [`Self::finish`] writes.
    #[must_use]
    pub fn finish_size(&self) -> usize {
        self.held.bytes().len().saturating_sub(TAG_SIZE)
    }

    /// Ends the stream, and writes the rest of the plaintext.
    pub fn finish(&mut self, out: &mut [u8]) -> Result<()> {
        let segments = match &mut self.state {
            State::Body(segments) => segments,
            State::Head(_) => return Err(self.fail(Error::Decrypt)),
            State::Over(error) => return Err(error.clone()),
        };
        let last = self.held.bytes();
        // Only an empty stream ends with an empty segment: one plaintext has one division.
        let ended = if last.len() == TAG_SIZE && !segments.at_start() {
            Err(Error::Decrypt)
        } else {
            segments.open(Position::Last, last, out)
        };
        match ended {
            Ok(()) => {
                self.fail(Error::Usage(
                    "the stream has ended; start another".to_owned(),
                ));
                Ok(())
            }
            Err(error) => {
                out.fill(0);
                Err(self.fail(error))
            }
        }
    }

    /// Ends the stream: every later call gets `error` too.
    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Over(error.clone());
        error
    }
}

impl Default for Opener {
    fn default() -> Self {
        Self::new()
    }
}

/// Completes `head` from the start of `sealed`; returns the rest once it is complete.
fn complete<'a>(head: &mut Vec<u8>, sealed: &'a [u8]) -> Result<Option<&'a [u8]>> {
    let mut sealed = sealed;
    // First up to the field with the length of the head, then up to that length.
    for _ in 0..2 {
        let wanted = envelope::head_size(head)
            .transpose()?
            .unwrap_or(envelope::HEADER_SIZE);
        let missing = wanted.saturating_sub(head.len());
        let (taken, rest) = sealed.split_at_checked(missing).unwrap_or((sealed, &[]));
        head.extend_from_slice(taken);
        sealed = rest;
    }
    let size = envelope::head_size(head).transpose()?;
    Ok((size == Some(head.len())).then_some(sealed))
}

fn begin(kek: &KeyEncryptionKey, context: &Context, head: &[u8]) -> Result<Segments> {
    let parts = Parts::parse(head).ok_or(Error::Decrypt)?;
    let mut data_key = Zeroizing::new([0; KEY_SIZE]);
    kek.data_key(Content::Stream, &parts, &mut data_key)?;
    let stable = envelope::stable(parts.header_bytes)?;
    let context = context.as_bytes();
    let mut transcript = Transcript::for_context(context.len());
    transcript.write(&data_key, parts.nonce, stable, context)?;
    envelope::check_commitment(&transcript, parts.commitment)?;
    Segments::new(&data_key, parts.nonce, &transcript)
}
