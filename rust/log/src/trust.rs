//! Whose records are believed.

use vaultcore_core::audit::{Entry, Hash, Mac, MacKey, Position};

use crate::failure::{Failure, Result};

/// A key of MACs, and the last record that it may have made; none while it is in use.
#[derive(Debug)]
pub struct Known {
    /// The key.
    pub key: MacKey,
    /// The last record that it may have made.
    pub until: Option<u64>,
}

/// Whose records are believed.
#[derive(Debug, Default)]
pub struct Trust {
    /// The keys of this installation, the one that writes first; none for a log without MACs.
    pub keys: Vec<Known>,
    /// Whether a whole record by an unknown key counts as no record, instead of being an error.
    pub distrust: bool,
    /// The last record from before the installation had keys.
    pub unkeyed: u64,
}

impl Trust {
    /// The key that makes MACs.
    pub(crate) fn key(&self) -> Option<&MacKey> {
        self.keys.first().map(|known| &known.key)
    }

    /// Whether a record is one that this installation made.
    pub(crate) fn made(&self, sequence: u64, head: &Hash, mac: Option<&Mac>) -> bool {
        let Some(mac) = mac else {
            return self.keys.is_empty() || sequence <= self.unkeyed;
        };
        self.keys.is_empty()
            || self.keys.iter().any(|known| {
                known.until.is_none_or(|until| sequence <= until)
                    && known.key.made_record(head, mac)
            })
    }

    /// Whether the chain goes on with a record; an error if an unknown key made it.
    pub(crate) fn accepts(&self, entry: &Entry) -> Result<bool> {
        let Position { head, sequence } = entry.position;
        if self.made(sequence, &head, entry.mac.as_ref()) {
            return Ok(true);
        }
        if self.distrust || entry.mac.is_none() {
            return Ok(false);
        }
        Err(Failure::Foreign)
    }
}
