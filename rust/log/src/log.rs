//! The log itself: one chain, which several processes append to.
//!
//! Each append happens under an exclusive `flock`, looks whether the file is still the one that
//! everybody finds and what others have appended meanwhile, and is one `write`. What cannot be
//! written whole is taken back before the lock is.

mod closing;
mod entering;
mod opening;
mod repair;
mod syncing;

pub use opening::Signed;

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::io::{write, Errno};
use vaultcore_core::audit::{self, Line, Record};

use self::repair::Aside;
use crate::failure::{doing, Failure, Result};
use crate::place::{Identity, Place};
use crate::reserve::Reserve;
use crate::segment::Reach;
use crate::trust::Trust;

pub(crate) struct Log {
    /// What was put aside and is not on record yet.
    asides: Vec<Aside>,
    /// Where the file ended when it was last looked at; what is behind the last record does not hold.
    end: u64,
    file: Arc<File>,
    /// Whether the file was just opened as the next one, which others may have closed meanwhile.
    fresh: bool,
    identity: Identity,
    line: Line,
    place: Place,
    reach: Reach,
    reserve: Reserve,
    segment_size: u64,
    /// Whether a sync failed, so that the system may have dropped what was not on the disk.
    suspect: bool,
    /// How far the file is known to be on the disk.
    synced: u64,
    trust: Trust,
}

impl Log {
    /// Appends one record and returns its number.
    pub(crate) fn append(&mut self, record: &Record<'_>, wait: bool) -> Result<u64> {
        let held = self.enter(wait, false)?;
        self.repair(record.time)?;
        self.write(record)?;
        let sequence = self.reach.position.sequence;
        if self.reach.size >= self.segment_size {
            // The record is written. If the segment cannot be closed now, the next append does it
            // first, or is refused.
            let _ = self.close_segment(record.time);
        }
        self.reserve.renew(&self.file, self.reach.size);
        drop(held);
        Ok(sequence)
    }

    /// Looks at what other processes have appended; returns where the log ends.
    pub(crate) fn refresh(&mut self) -> Result<Reach> {
        let held = self.enter(true, true)?;
        drop(held);
        Ok(self.reach)
    }

    /// Refuses if the log is not where it was, or has too little space in reserve to record what
    /// would be done.
    pub(crate) fn require(&mut self, wait: bool) -> Result<()> {
        let held = self.enter(wait, true)?;
        self.reserve.renew(&self.file, self.reach.size);
        drop(held);
        match self.reserve.short() {
            None => Ok(()),
            Some(why) => Err(Failure::Broken(format!(
                "there is no space in reserve for what would have to be recorded ({why}): free \
                 space on its disk"
            ))),
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.reserve.short().is_some()
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn trust_mut(&mut self) -> &mut Trust {
        &mut self.trust
    }

    /// Writes one record at the end, whole or not at all.
    pub(super) fn write(&mut self, record: &Record<'_>) -> Result<()> {
        let key = self.trust.key();
        let position = self.line.write(record, self.reach.position, key);
        let line = self.line.bytes();
        if line.len() > audit::MAX_LINE {
            return Err(Failure::Broken(
                "a record outgrew the limits of its members".to_owned(),
            ));
        }
        let written = loop {
            match write(&*self.file, line) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let error = match written {
            Ok(length) if length == line.len() => {
                self.reach.position = position;
                self.reach.size += length as u64;
                self.reach.ended = record.operation == audit::ROTATED;
                self.reach.revision = self.reach.revision.max(record.revision.unwrap_or_default());
                return Ok(());
            }
            Ok(_) => io::ErrorKind::StorageFull.into(),
            Err(error) => io::Error::from(error),
        };
        // If this fails as well, the next append finds an end that does not hold and puts it aside.
        let _ = self.file.set_len(self.reach.size);
        self.reserve.cut(self.reach.size);
        doing("append to")(error)
    }
}
