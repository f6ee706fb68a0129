//! The MAC that shows that the vault itself wrote a record (RFC 2104, with SHA-256).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::Hash;
use crate::error::{Error, Result};
use crate::key::Key;

/// The prefix of the MAC input of every record.
const RECORD: &[u8] = b"vaultcore audit mac 1\n";
/// The prefix of the MAC input of everything else that the log authenticates.
pub const DOCUMENT: &[u8] = b"vaultcore audit document 1\n";

/// A MAC: the first half of an HMAC, which is enough because each guess costs a whole log.
pub type Mac = [u8; 16];

/// The key of the MACs of one installation.
pub struct MacKey(hmac::Key);

impl std::fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MacKey(...)")
    }
}

impl MacKey {
    /// Creates a key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Creates a key from the bytes of a symmetric key of 256 bits.
    ///
    /// # Errors
    ///
    /// It is a different kind of key.
    pub fn from_key(key: &Key) -> Result<Self> {
        key.symmetric()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self::new)
            .ok_or_else(|| Error::Usage("the audit log needs an oct key of 256 bits".to_owned()))
    }

    /// The MAC of a record, computed over its hash.
    #[must_use]
    pub fn of_record(&self, head: &Hash) -> Mac {
        self.tag(RECORD, head)
    }

    /// Whether this key made the MAC of a record.
    #[must_use]
    pub fn made_record(&self, head: &Hash, mac: &Mac) -> bool {
        verify_slices_are_equal(&self.of_record(head), mac).is_ok()
    }

    /// The MAC of a document.
    #[must_use]
    pub fn of_document(&self, document: &[u8]) -> Mac {
        self.tag(DOCUMENT, document)
    }

    /// Whether this key made the MAC of a document.
    #[must_use]
    pub fn made_document(&self, document: &[u8], mac: &[u8]) -> bool {
        verify_slices_are_equal(&self.of_document(document), mac).is_ok()
    }

    fn tag(&self, label: &[u8], text: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(label);
        context.update(text);
        let tag = context.sign();
        // An HMAC with SHA-256 has 32 bytes, so the half is always there.
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}
