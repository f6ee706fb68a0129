//! Bringing the log to the disk, also after that failed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Log;
use crate::failure::{doing, Result};
use crate::place::{identity, moved};
use crate::segment::read_range;

impl Log {
    /// Brings what is in the current segment to the disk, and returns how far that is.
    ///
    /// After a sync that failed, the system may hold pages for clean that are not on the disk, and
    /// the next sync would succeed without them (fsync(2), ERRORS). So they are written again.
    pub(crate) fn start_sync(&mut self) -> Result<(Arc<File>, u64)> {
        let held = self.enter(true, true)?;
        if self.suspect {
            self.rewrite()?;
        }
        drop(held);
        Ok((Arc::clone(&self.file), self.reach.size))
    }

    pub(crate) fn end_sync(
        &mut self,
        file: &Arc<File>,
        size: u64,
        done: io::Result<()>,
    ) -> Result<()> {
        match done {
            Ok(()) => {
                if Arc::ptr_eq(file, &self.file) && !self.suspect {
                    self.synced = self.synced.max(size);
                }
                Ok(())
            }
            Err(error) => {
                self.suspect = true;
                doing("sync")(error)
            }
        }
    }

    pub(super) fn rewrite(&mut self) -> Result<()> {
        let bytes = read_range(&self.file, self.synced, self.reach.size)?;
        let again = self.place.open_for_rewriting()?;
        if identity(&again)? != self.identity {
            return Err(moved());
        }
        again
            .write_all_at(&bytes, self.synced)
            .or_else(doing("write again to"))?;
        again.sync_all().or_else(doing("sync"))?;
        self.suspect = false;
        self.synced = self.reach.size;
        Ok(())
    }
}
