//! The envelope: the place of every byte.
//!
//! ```text
//! magic "vce" 3 | version 1 | suite 1 | content 1 | KEK id 16 | generation 4   the header, 26
//! wrapped data key, 60 (suite 1) or 40 (suite 2)
//! payload nonce 12 | commitment 32
//! ciphertext | tag 16                                    or the segments of a stream
//! ```
//!
//! The first 22 bytes never change in the life of an envelope and are bound by the commitment;
//! the generation and the wrapped data key are replaced when it is rewrapped. `docs/envelope.md`
//! has the whole format and the reasons for it.

mod message;

pub(crate) use message::{
    begin, check_commitment, commitment, open_into, seal_into, Randomness, Transcript, RANDOM_SIZE,
};

use std::fmt;

use crate::{Error, Result};

/// The version of the format, the only one so far.
pub const VERSION: u8 = 1;

pub(crate) const MAGIC: [u8; 3] = *b"vce";
/// The bytes of the header that never change.
pub(crate) const STABLE_SIZE: usize = 22;
pub(crate) const GENERATION_SIZE: usize = 4;
pub(crate) const HEADER_SIZE: usize = STABLE_SIZE + GENERATION_SIZE;
pub(crate) const NONCE_SIZE: usize = 12;
pub(crate) const TAG_SIZE: usize = 16;
pub(crate) const COMMITMENT_SIZE: usize = 32;
pub(crate) const KEK_ID_SIZE: usize = 16;
/// The most that one GCM invocation may encrypt (SP 800-38D section 5.2.1.1).
pub const MAX_PAYLOAD: usize = (1 << 36) - 32;

/// How the data key is wrapped. The payload is AES-256-GCM in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-256 key wrap (SP 800-38F, RFC 3394), for users who need a mode of FIPS 140.
    AesKw,
    /// AES-256-GCM-SIV (RFC 8452) with a random nonce. The default.
    GcmSiv,
}

impl Suite {
    /// The number of the suite in the header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::GcmSiv => 1,
            Self::AesKw => 2,
        }
    }

    /// The suite of a number.
    pub fn from_number(number: u8) -> Result<Self> {
        match number {
            1 => Ok(Self::GcmSiv),
            2 => Ok(Self::AesKw),
            _ => Err(Error::Algorithm(format!(
                "there is no suite {number}; the suites are 1 (AES-256-GCM-SIV) and 2 (AES-KW)"
            ))),
        }
    }

    /// The size of a wrapped data key.
    #[must_use]
    pub const fn wrap_size(self) -> usize {
        match self {
            Self::GcmSiv => NONCE_SIZE + crate::secret::KEY_SIZE + TAG_SIZE,
            Self::AesKw => crate::secret::KEY_SIZE + 8,
        }
    }

    /// What comes before the ciphertext.
    #[must_use]
    pub const fn head_size(self) -> usize {
        HEADER_SIZE + self.wrap_size() + NONCE_SIZE + COMMITMENT_SIZE
    }

    /// How much longer an envelope of one message is than the message.
    #[must_use]
    pub const fn overhead(self) -> usize {
        self.head_size() + TAG_SIZE
    }
}

/// The content of an envelope. Bound like everything else, so that none passes as another: a sealed
/// private key does not open as a message, which Python would see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// A key-encryption key with all its generations.
    Kek,
    /// Private key material, which only the core opens.
    Key,
    /// The caller's bytes.
    Message,
    /// The caller's bytes in segments.
    Stream,
}

impl Content {
    const fn number(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Stream => 1,
            Self::Key => 2,
            Self::Kek => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Message),
            1 => Some(Self::Stream),
            2 => Some(Self::Key),
            3 => Some(Self::Kek),
            _ => None,
        }
    }

    /// The name of the content, as [`Info`] shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Stream => "stream",
            Self::Key => "key",
            Self::Kek => "key-encryption-key",
        }
    }
}

/// The name of a key-encryption key: 16 bytes, shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KekId(pub(crate) [u8; KEK_ID_SIZE]);

impl KekId {
    /// Reads 32 hexadecimal digits, lower case.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = || {
            Error::Usage("the id of a key-encryption key is 32 lower-case hex digits".to_owned())
        };
        let digits: &[u8; 2 * KEK_ID_SIZE] = text.as_bytes().try_into().map_err(|_| refuse())?;
        let mut id = [0; KEK_ID_SIZE];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return Err(refuse()),
                };
                *byte = (*byte << 4) | value;
            }
        }
        Ok(Self(id))
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The header of an envelope, typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) suite: Suite,
    pub(crate) content: Content,
    pub(crate) kek_id: KekId,
    pub(crate) generation: u32,
}

impl Header {
    /// The header in bytes. The whole of it is the associated data of the wrap.
    pub(crate) fn bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let [m0, m1, m2] = MAGIC;
        let mut write = || {
            let (fixed, rest) = bytes.split_first_chunk_mut::<6>()?;
            let (id, generation) = rest.split_first_chunk_mut::<KEK_ID_SIZE>()?;
            *fixed = [
                m0,
                m1,
                m2,
                VERSION,
                self.suite.number(),
                self.content.number(),
            ];
            *id = self.kek_id.0;
            *generation.first_chunk_mut()? = self.generation.to_be_bytes();
            Some(())
        };
        // INVARIANT: 6 + 16 + 4 is the size of the header, so this cannot stop halfway.
        let written = write();
        debug_assert!(written.is_some());
        bytes
    }

    fn parse(bytes: &[u8; HEADER_SIZE]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<3>()?;
        let ([version, suite, content], rest) = rest.split_first_chunk::<3>()?;
        let (id, rest) = rest.split_first_chunk::<KEK_ID_SIZE>()?;
        let generation = u32::from_be_bytes(rest.try_into().ok()?);
        if *magic != MAGIC || *version != VERSION || generation == 0 {
            return None;
        }
        Some(Self {
            suite: Suite::from_number(*suite).ok()?,
            content: Content::from_number(*content)?,
            kek_id: KekId(*id),
            generation,
        })
    }
}

/// An envelope taken apart. Nothing of it is authenticated yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) header: Header,
    /// The same header as stored: one header has one form.
    pub(crate) header_bytes: &'a [u8; HEADER_SIZE],
    pub(crate) wrapped: &'a [u8],
    pub(crate) nonce: &'a [u8; NONCE_SIZE],
    pub(crate) commitment: &'a [u8; COMMITMENT_SIZE],
    /// Ciphertext and tag of a message; segments of a stream.
    pub(crate) body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes an envelope apart, or at least the head of a stream.
    pub(crate) fn parse(blob: &'a [u8]) -> Option<Self> {
        let (header_bytes, rest) = blob.split_first_chunk::<HEADER_SIZE>()?;
        let header = Header::parse(header_bytes)?;
        let (wrapped, rest) = rest.split_at_checked(header.suite.wrap_size())?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_SIZE>()?;
        let (commitment, body) = rest.split_first_chunk::<COMMITMENT_SIZE>()?;
        if header.content != Content::Stream && body.len() < TAG_SIZE {
            return None;
        }
        Some(Self {
            header,
            header_bytes,
            wrapped,
            nonce,
            commitment,
            body,
        })
    }
}

/// The part of the header that never changes.
pub(crate) fn stable(header: &[u8; HEADER_SIZE]) -> Result<&[u8; STABLE_SIZE]> {
    header.first_chunk().ok_or(Error::Backend)
}

/// The size of the head of the envelope that begins with `start`, if enough of it is there.
pub(crate) fn head_size(start: &[u8]) -> Option<Result<usize>> {
    let (header, _) = start.split_first_chunk::<HEADER_SIZE>()?;
    Some(
        Header::parse(header)
            .map(|header| header.suite.head_size())
            .ok_or(Error::Decrypt),
    )
}

/// The unencrypted part of an envelope. It is authenticated only by opening the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// The version of the format.
    pub version: u8,
    /// How the data key is wrapped.
    pub suite: Suite,
    /// The kind of content.
    pub content: Content,
    /// The key-encryption key it was sealed under.
    pub kek_id: KekId,
    /// The generation of that key.
    pub generation: u32,
    /// The size of the content; none for the head of a stream without its segments.
    pub payload_size: Option<u64>,
}

/// Reads the unencrypted part of an envelope, without a key.
pub fn inspect(blob: &[u8]) -> Result<Info> {
    let refuse = || Error::Usage("this is not an envelope, or it was cut short".to_owned());
    let parts = Parts::parse(blob).ok_or_else(refuse)?;
    let Header {
        suite,
        content,
        kek_id,
        generation,
    } = parts.header;
    let payload_size = match content {
        Content::Stream if parts.body.is_empty() => None,
        Content::Stream => Some(crate::stream::payload_size(parts.body.len()).ok_or_else(refuse)?),
        _ => parts
            .body
            .len()
            .checked_sub(TAG_SIZE)
            .map(|size| size as u64),
    };
    Ok(Info {
        version: VERSION,
        suite,
        content,
        kek_id,
        generation,
        payload_size,
    })
}

// Not under Miri: the backend is C.
#[cfg(all(test, not(miri)))]
mod vectors;
