//! Segments: their nonces, and how input is divided into them.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use crate::envelope::{self, Transcript, NONCE_SIZE, TAG_SIZE};
use crate::secret::{SecretBytes, KEY_SIZE};
use crate::{Error, Result};

/// Whether more segments follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Inner,
    Last,
}

/// The key of a stream and the number of its next segment.
pub(super) struct Segments {
    key: LessSafeKey,
    nonce: [u8; NONCE_SIZE],
    associated_data: Vec<u8>,
    // None after every number was used.
    next: Option<u32>,
}

impl Segments {
    pub(super) fn new(
        data_key: &[u8; KEY_SIZE],
        nonce: &[u8; NONCE_SIZE],
        transcript: &Transcript,
    ) -> Result<Self> {
        Ok(Self {
            key: envelope::begin(data_key)?,
            nonce: *nonce,
            associated_data: transcript.associated_data().to_vec(),
            next: Some(0),
        })
    }

    /// Whether no segment was sealed or opened yet.
    pub(super) fn at_start(&self) -> bool {
        self.next == Some(0)
    }

    /// Seals one segment into `out`, which is larger by a tag.
    pub(super) fn seal(
        &mut self,
        position: Position,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let nonce = self.nonce(position)?;
        let (ciphertext, tag) = out
            .split_last_chunk_mut::<TAG_SIZE>()
            .ok_or(Error::Backend)?;
        let aad = Aad::from(&self.associated_data);
        self.key
            .seal_out_of_place_scatter(nonce, aad, plaintext, ciphertext, &[], tag)
            .map_err(|_| Error::Backend)
    }

    /// Opens one segment into `out`, which is smaller by a tag.
    pub(super) fn open(&mut self, position: Position, sealed: &[u8], out: &mut [u8]) -> Result<()> {
        let nonce = self.nonce(position)?;
        let (ciphertext, tag) = sealed
            .split_last_chunk::<TAG_SIZE>()
            .ok_or(Error::Decrypt)?;
        let aad = Aad::from(&self.associated_data);
        self.key
            .open_separate_gather(nonce, aad, ciphertext, tag, out)
            .map_err(|_| Error::Decrypt)
    }

    /// The payload nonce XOR (7 zero bytes, the number of the segment 4, whether it is the last 1).
    fn nonce(&mut self, position: Position) -> Result<Nonce> {
        let number = self.next.ok_or_else(|| {
            Error::Usage("the stream is too long: it has at most 2^32 segments".to_owned())
        })?;
        self.next = number.checked_add(1);
        let mut nonce = self.nonce;
        let (_, counter) = nonce.split_last_chunk_mut::<5>().ok_or(Error::Backend)?;
        let [a, b, c, d] = number.to_be_bytes();
        let last = u8::from(position == Position::Last);
        for (byte, value) in counter.iter_mut().zip([a, b, c, d, last]) {
            *byte ^= value;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Input that is not yet known to be, or not to be, the last segment.
pub(super) struct Held {
    // INVARIANT: `size` is at most the size of `bytes`, which is one segment.
    bytes: SecretBytes,
    size: usize,
}

impl Held {
    pub(super) fn new(segment: usize) -> Self {
        Self {
            bytes: SecretBytes::zeroed(segment),
            size: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.expose().get(..self.size).unwrap_or_default()
    }

    /// How many whole segments are certainly not the last when `arriving` more bytes come.
    pub(super) fn releasable(&self, arriving: usize) -> usize {
        let segment = self.bytes.expose().len();
        (self.size + arriving).saturating_sub(1) / segment
    }

    /// Takes `data`, passes every segment that is certainly not the last to `work`, holds the rest.
    pub(super) fn cut(
        &mut self,
        data: &[u8],
        mut work: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut data = data;
        let mut release = self.releasable(data.len());
        if release > 0 && self.size > 0 {
            data = self.fill(data);
            work(self.bytes())?;
            self.size = 0;
            release -= 1;
        }
        for segment in data.chunks(self.bytes.expose().len()).take(release) {
            work(segment)?;
            data = data.get(segment.len()..).unwrap_or_default();
        }
        self.fill(data);
        Ok(())
    }

    /// Takes as much of `data` as there is room for, and returns the rest.
    fn fill<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let room = self
            .bytes
            .expose_mut()
            .get_mut(self.size..)
            .unwrap_or_default();
        let (taken, rest) = data.split_at_checked(room.len()).unwrap_or((data, &[]));
        if let Some(place) = room.get_mut(..taken.len()) {
            place.copy_from_slice(taken);
        }
        self.size += taken.len();
        rest
    }
}
