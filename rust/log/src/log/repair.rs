//! An end that does not hold, put aside and told of.

use vaultcore_core::audit::{self, Extra, Record};

use super::Log;
use crate::failure::{doing, Result};

/// An end that was put aside.
pub(super) struct Aside {
    bytes: u64,
    hash: String,
    name: String,
}

impl Log {
    /// Puts aside what does not hold behind the last record, and records that.
    ///
    /// A process or a machine that stops in the middle of a write leaves such an end; so does a
    /// writer of the file without a key. Its bytes are kept in a file of their own.
    pub(super) fn repair(&mut self, time: f64) -> Result<()> {
        if self.end > self.reach.size {
            self.put_aside(self.end)?;
        }
        while let Some(Aside { bytes, hash, name }) = self.asides.first() {
            let extra = [
                (
                    "bytes".to_owned(),
                    Extra::Number(i64::try_from(*bytes).unwrap_or(i64::MAX)),
                ),
                ("sha256".to_owned(), Extra::Text(hash.clone())),
                ("keptIn".to_owned(), Extra::Text(name.clone())),
            ];
            self.write(&Record {
                extra: &extra,
                operation: audit::REPAIRED,
                result_description: "the end of the log did not hold and was put aside",
                status: 200,
                time,
                ..Record::default()
            })?;
            self.asides.remove(0);
        }
        Ok(())
    }

    pub(super) fn put_aside(&mut self, size: u64) -> Result<()> {
        let start = self.reach.size;
        let sequence = self.reach.position.sequence;
        let (name, hash) = self.place.keep(sequence, &self.file, start, size)?;
        self.file.set_len(start).or_else(doing("truncate"))?;
        self.end = start;
        // The blocks behind the end went with it.
        self.reserve.cut(start);
        self.asides.push(Aside {
            bytes: size - start,
            hash,
            name,
        });
        Ok(())
    }
}
