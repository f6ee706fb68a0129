//! Closing a segment and going on in the next.
//!
//! It is done in steps (a last record, a sync, a new name, the next file), and any of them can
//! fail. What is left to do shows in the files, so the next append of any process finishes it
//! first, or is refused.

use vaultcore_core::audit::{self, Record};

use super::Log;
use crate::failure::{doing, Failure, Result};

impl Log {
    /// Closes the current segment, if anything is in it.
    pub(crate) fn rotate(&mut self, time: f64) -> Result<()> {
        let held = self.enter(true, true)?;
        self.repair(time)?;
        if self.reach.size > 0 {
            self.close_segment(time)?;
        }
        drop(held);
        Ok(())
    }

    /// Closes the segment with a record and goes on in a new one.
    pub(super) fn close_segment(&mut self, time: f64) -> Result<()> {
        self.write(&Record {
            operation: audit::ROTATED,
            result_description: "the log goes on in the next segment",
            status: 200,
            time,
            ..Record::default()
        })?;
        self.finish_closing()
    }

    /// Gives a segment that ended its name, and opens the next.
    pub(super) fn finish_closing(&mut self) -> Result<()> {
        if self.suspect {
            self.rewrite()?;
        }
        // Gives the blocks behind the end back.
        self.file
            .set_len(self.reach.size)
            .or_else(doing("truncate"))?;
        if let Err(error) = self.file.sync_all() {
            self.suspect = true;
            return doing("sync")(error);
        }
        self.synced = self.reach.size;
        self.place.close_current(self.reach.position.sequence)?;
        self.next_segment()
    }

    /// Goes on to the segment behind one that is closed.
    pub(super) fn next_segment(&mut self) -> Result<()> {
        let last = self.reach.position.sequence;
        let closed = self.place.closed()?;
        let (file, identity) = match closed.iter().find(|&&number| number > last) {
            Some(&number) => self.place.open_closed(number)?,
            None => self.place.open_current()?,
        };
        if identity == self.identity && !self.fresh {
            return Err(Failure::Broken(
                "its current segment has ended, and there is no next one".to_owned(),
            ));
        }
        (self.file, self.identity) = (file, identity);
        self.fresh = true;
        self.reach.ended = false;
        self.reach.size = 0;
        self.reserve.cut(0);
        (self.synced, self.suspect) = (0, false);
        Ok(())
    }
}
