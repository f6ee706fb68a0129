//! The payload of a message, under its data key.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM};
use aws_lc_rs::{constant_time, digest};
use zeroize::{Zeroize, Zeroizing};

use super::{stable, Parts, COMMITMENT_SIZE, MAX_PAYLOAD, NONCE_SIZE, STABLE_SIZE, TAG_SIZE};
use crate::secret::KEY_SIZE;
use crate::{Error, Result};

/// All the randomness of one envelope: the data key, the payload nonce, the nonce of the wrap.
pub(crate) const RANDOM_SIZE: usize = KEY_SIZE + 2 * NONCE_SIZE;

/// The randomness of one envelope, taken apart. Each piece is used once.
pub(crate) struct Randomness<'a> {
    pub(crate) data_key: &'a [u8; KEY_SIZE],
    pub(crate) payload_nonce: &'a [u8; NONCE_SIZE],
    pub(crate) wrap_nonce: &'a [u8; NONCE_SIZE],
}

impl<'a> Randomness<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self> {
        let take = || {
            let (data_key, rest) = bytes.split_first_chunk::<KEY_SIZE>()?;
            let (payload_nonce, rest) = rest.split_first_chunk::<NONCE_SIZE>()?;
            let wrap_nonce = rest.first_chunk::<NONCE_SIZE>()?;
            Some(Self {
                data_key,
                payload_nonce,
                wrap_nonce,
            })
        };
        take().ok_or(Error::Backend)
    }
}

/// The input of the commitment, in one piece of memory:
///
/// ```text
/// label 16 | data key 32 | payload nonce 12 | tag 16 | stable header 22 | context
/// ```
///
/// Everything before the context has a fixed size, and no encoding of a context begins another, so
/// no two inputs are alike. Its last two parts are the associated data of the payload.
pub(crate) struct Transcript {
    short: [u8; SHORT],
    // None if the short one is large enough. An empty vector would be wiped too, at an invalid
    // address, which costs as much as the rest of an envelope's wiping.
    long: Option<Zeroizing<Vec<u8>>>,
    size: usize,
}

impl Transcript {
    /// Makes room for the transcript of an envelope with a context of this size.
    pub(crate) fn for_context(size: usize) -> Self {
        let size = FIXED + size;
        Self {
            short: [0; SHORT],
            long: (size > SHORT).then(|| Zeroizing::new(vec![0; size])),
            size,
        }
    }

    /// Writes everything except the tag, which stays zero until it is known.
    ///
    /// In place, and not when the transcript is created: moving it would leave a copy of the key.
    pub(crate) fn write(
        &mut self,
        data_key: &[u8; KEY_SIZE],
        nonce: &[u8; NONCE_SIZE],
        stable: &[u8; STABLE_SIZE],
        context: &[u8],
    ) -> Result<()> {
        let mut write = || {
            let (label, rest) = self.bytes_mut().split_first_chunk_mut()?;
            let (key_place, rest) = rest.split_first_chunk_mut()?;
            let (nonce_place, rest) = rest.split_first_chunk_mut()?;
            let (_tag, rest) = rest.split_first_chunk_mut::<TAG_SIZE>()?;
            let (stable_place, context_place) = rest.split_first_chunk_mut()?;
            *label = LABEL;
            *key_place = *data_key;
            *nonce_place = *nonce;
            *stable_place = *stable;
            (context_place.len() == context.len()).then(|| context_place.copy_from_slice(context))
        };
        write().ok_or(Error::Backend)
    }

    /// The associated data of the payload: the stable header and the context.
    pub(crate) fn associated_data(&self) -> &[u8] {
        self.bytes().get(ASSOCIATED_DATA..).unwrap_or_default()
    }

    fn set_tag(&mut self, tag: &[u8; TAG_SIZE]) -> Result<()> {
        let place = self
            .bytes_mut()
            .get_mut(TAG..ASSOCIATED_DATA)
            .ok_or(Error::Backend)?;
        place.copy_from_slice(tag);
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => long,
            None => self.short.get(..self.size).unwrap_or_default(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.long {
            Some(long) => long,
            None => self.short.get_mut(..self.size).unwrap_or_default(),
        }
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        // Only the data key is secret; wiping the rest would cost more than hashing it.
        if let Some(key) = self.short.get_mut(LABEL.len()..LABEL.len() + KEY_SIZE) {
            key.zeroize();
        }
    }
}

/// `SHA-256(transcript)`: the commitment to key, header and context (and tag, for a message).
pub(crate) fn commitment(transcript: &Transcript) -> Result<[u8; COMMITMENT_SIZE]> {
    let digest = digest::digest(&digest::SHA256, transcript.bytes());
    digest.as_ref().try_into().map_err(|_| Error::Backend)
}

/// Compares the commitment of an envelope with the one computed, in constant time.
pub(crate) fn check_commitment(
    transcript: &Transcript,
    stored: &[u8; COMMITMENT_SIZE],
) -> Result<()> {
    // CT: the commitment is public, but it must not show how much of a forged one is right.
    constant_time::verify_slices_are_equal(&commitment(transcript)?, stored)
        .map_err(|_| Error::Decrypt)
}

/// The key of the payload, ready for use.
pub(crate) fn begin(data_key: &[u8; KEY_SIZE]) -> Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, data_key)
        .map(LessSafeKey::new)
        .map_err(|_| Error::Backend)
}

/// Writes payload nonce, commitment, ciphertext and tag into `out`.
pub(crate) fn seal_into(
    random: &Randomness<'_>,
    stable: &[u8; STABLE_SIZE],
    context: &[u8],
    plaintext: &[u8],
    out: &mut [u8],
) -> Result<()> {
    if plaintext.len() > MAX_PAYLOAD {
        return Err(Error::Usage(
            "the plaintext is too long for one message; seal it as a stream".to_owned(),
        ));
    }
    let mut transcript = Transcript::for_context(context.len());
    transcript.write(random.data_key, random.payload_nonce, stable, context)?;
    let (nonce, rest) = out
        .split_first_chunk_mut::<NONCE_SIZE>()
        .ok_or(Error::Backend)?;
    let (place, rest) = rest
        .split_first_chunk_mut::<COMMITMENT_SIZE>()
        .ok_or(Error::Backend)?;
    let (ciphertext, tag) = rest
        .split_last_chunk_mut::<TAG_SIZE>()
        .ok_or(Error::Backend)?;
    *nonce = *random.payload_nonce;
    begin(random.data_key)?
        .seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(transcript.associated_data()),
            plaintext,
            ciphertext,
            &[],
            tag,
        )
        .map_err(|_| Error::Backend)?;
    transcript.set_tag(tag)?;
    *place = commitment(&transcript)?;
    Ok(())
}

/// Opens a message into `out`, which has the size of its plaintext.
///
/// The commitment is checked first: nothing is decrypted under a key that it does not name.
pub(crate) fn open_into(
    parts: &Parts<'_>,
    data_key: &[u8; KEY_SIZE],
    context: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let (ciphertext, tag) = parts
        .body
        .split_last_chunk::<TAG_SIZE>()
        .ok_or(Error::Decrypt)?;
    let stable = stable(parts.header_bytes)?;
    let mut transcript = Transcript::for_context(context.len());
    transcript.write(data_key, parts.nonce, stable, context)?;
    transcript.set_tag(tag)?;
    check_commitment(&transcript, parts.commitment)?;
    begin(data_key)?
        .open_separate_gather(
            Nonce::assume_unique_for_key(*parts.nonce),
            Aad::from(transcript.associated_data()),
            ciphertext,
            tag,
            out,
        )
        .map_err(|_| {
            // What the backend left here was not authenticated.
            out.fill(0);
            Error::Decrypt
        })
}

const LABEL: [u8; 16] = *b"vaultcore/commit";
const TAG: usize = LABEL.len() + KEY_SIZE + NONCE_SIZE;
const ASSOCIATED_DATA: usize = TAG + TAG_SIZE;
const FIXED: usize = ASSOCIATED_DATA + STABLE_SIZE;
/// Transcripts of up to this many bytes are on the stack; contexts are rarely longer.
const SHORT: usize = 256;
