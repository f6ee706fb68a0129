//! What shows that the vault itself wrote a record (RFC 2104, with SHA-256).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::Hash;
use crate::error::{Error, Result};
use crate::key::Key;

/// What the MAC of every record begins with.
const RECORD: &[u8] = b"vaultcore audit mac 1\n";
/// What the MAC of everything else that the log vouches for begins with.
const DOCUMENT: &[u8] = b"vaultcore audit document 1\n";

/// A MAC: the first half of an HMAC, which is enough where each guess costs a whole log.
pub type Mac = [u8; 16];

/// The key of the MACs of one installation.
pub struct MacKey(hmac::Key);

impl std::fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MacKey(...)")
    }
}

impl MacKey {
    /// Takes the bytes of a key.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Takes the bytes of a symmetric key of 256 bits.
    ///
    /// # Errors
    ///
    /// It is another kind of key.
    pub fn from_key(key: &Key) -> Result<Self> {
        key.symmetric()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self::new)
            .ok_or_else(|| Error::Usage("the audit log takes an oct key of 256 bits".to_owned()))
    }

    /// The MAC of a record, which its hash stands for.
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
