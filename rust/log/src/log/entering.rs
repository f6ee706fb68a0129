//! Entering the log: its lock, whether it is where it was, and what others have appended.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use vaultcore_core::audit::Position;

use super::Log;
use crate::failure::{doing, Failure, Result};
use crate::place::moved;
use crate::segment::{end_of, first};

/// An exclusive lock on a segment, for as long as this lives.
pub(super) struct Held(Arc<File>);

impl Held {
    fn take(file: &Arc<File>, wait: bool) -> Result<Self> {
        let operation = if wait {
            FlockOperation::LockExclusive
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        match flock(&**file, operation) {
            Ok(()) => Ok(Self(Arc::clone(file))),
            Err(Errno::WOULDBLOCK) => Err(Failure::Busy),
            Err(error) => doing("lock")(error.into()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Cannot fail on a descriptor that was locked; closing it would unlock it as well.
        let _ = flock(&*self.0, FlockOperation::Unlock);
    }
}

impl Log {
    /// Locks the current segment and catches up with its end.
    ///
    /// During the wait for the lock, others may fill the segment and go on in the next, and again
    /// during the wait for that one. However often it happens, each segment ends with a later record.
    ///
    /// `wait` says whether to wait for the lock, `look` whether to look for the file by its name even
    /// if nothing seems to have happened to it.
    ///
    /// Each record pays for the system calls here: the lock, a look at the folder, and one at the
    /// end of the file. None of them can be spared, whoever wrote last: a writer that takes no lock
    /// may have moved the file, cut it or written behind its end.
    pub(super) fn enter(&mut self, wait: bool, look: bool) -> Result<Held> {
        loop {
            let held = Held::take(&self.file, wait)?;
            let found = if self.place.unchanged()? && !look && !self.fresh {
                Some((self.identity, end_of(&self.file)?))
            } else {
                self.place.current()?
            };
            if self.fresh && self.skipped()? {
                self.next_segment()?;
                continue;
            }
            match found {
                Some((identity, size)) if identity == self.identity => {
                    self.fresh = false;
                    self.catch_up(size)?;
                    if !self.reach.ended {
                        return Ok(held);
                    }
                    self.finish_closing()?;
                }
                _ => {
                    self.catch_up(end_of(&self.file)?)?;
                    let last = self.reach.position.sequence;
                    if !self.reach.ended || !self.place.is_closed(self.identity, last)? {
                        return Err(moved());
                    }
                    self.next_segment()?;
                }
            }
            drop(held);
        }
    }

    /// Whether others closed the segment that comes next before we opened the current one.
    fn skipped(&self) -> Result<bool> {
        let last = self.reach.position.sequence;
        match self.place.closed()?.iter().find(|&&number| number > last) {
            Some(&number) => Ok(!self.place.is_closed(self.identity, number)?),
            None => Ok(false),
        }
    }

    /// Reads what stands behind the place where we left the segment.
    fn catch_up(&mut self, size: u64) -> Result<()> {
        self.end = size;
        if size == self.reach.size {
            return Ok(());
        }
        if size < self.reach.size {
            return Err(Failure::Broken(
                "it became shorter: something else has cut it; verify it, and restart".to_owned(),
            ));
        }
        self.reach.follow(&self.file, size, &self.trust)?;
        if self.reach.size == 0 {
            self.check_follows()?;
        }
        if self.reach.ended && self.reach.size < size {
            // Nothing may follow; what does is put aside like any end that does not hold.
            self.put_aside(size)?;
        }
        Ok(())
    }

    /// Makes sure that a segment which does not begin where the log ended is not put aside for it.
    fn check_follows(&self) -> Result<()> {
        let Some(entry) = first(&self.file)? else {
            return Ok(());
        };
        let Position { head, sequence } = entry.position;
        if self.trust.made(sequence, &head, entry.mac.as_ref())
            && sequence > self.reach.position.sequence.saturating_add(1)
        {
            return Err(Failure::Broken(format!(
                "the segment that ends with record {} is not there: put it back",
                sequence - 1
            )));
        }
        Ok(())
    }
}
