//! The log itself: one chain, which several processes append to.
//!
//! Each append happens under an exclusive `flock`, looks whether the file is still the one that
//! everybody finds and what others have appended meanwhile, and is one `write`. What cannot be
//! written whole is taken back before the lock is.
//!
//! A segment is closed in steps (a last record, a sync, a new name, the next file), and any of them
//! can fail. What is left to do shows in the files, so the next append of any process finishes it
//! first, or is refused.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{fallocate, fstatvfs, FallocateFlags};
use rustix::io::Errno;
use vaultcore_core::audit::{self, Extra, Position, Record};

use super::failure::{doing, Failure, Result};
use super::place::{identity, moved, segment_name, Identity, Place};
use super::segment::{end_of, find, first, read_range, Reach, Trust};

/// How much space is reserved at a time behind the last record, in bytes.
const AHEAD: u64 = 4 * 1024 * 1024;
/// With less than this in reserve, nothing may be done that would have to be recorded.
const RESERVE: u64 = 1024 * 1024;

/// A signed record: where the log is believed from.
pub(super) struct Signed {
    pub(super) position: Position,
    /// Where it ends in its segment, if that is known.
    pub(super) end: Option<u64>,
    pub(super) revision: u64,
}

pub(super) struct Log {
    /// What was put aside and is not on record yet.
    asides: Vec<(String, u64, String)>,
    /// Where the file ended when it was last looked at; what is behind the last record does not hold.
    end: u64,
    file: Arc<File>,
    /// Whether the file was just opened as the next one, which others may have closed meanwhile.
    fresh: bool,
    identity: Identity,
    line: Vec<u8>,
    place: Place,
    reach: Reach,
    /// How far the file has blocks.
    reserved: u64,
    segment_size: u64,
    /// Why there is not enough space in reserve; none while there is.
    short: Option<String>,
    /// Whether a sync failed, so that the system may have dropped what was not on the disk.
    suspect: bool,
    /// How far the file is known to be on the disk.
    synced: u64,
    trust: Trust,
}

/// An exclusive lock on a segment, for as long as this lives.
struct Held(Arc<File>);

impl Held {
    fn take(file: &Arc<File>, wait: bool) -> Result<Self> {
        if wait {
            file.lock().or_else(doing("lock"))?;
        } else {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Failure::Busy),
                Err(TryLockError::Error(error)) => return doing("lock")(error),
            }
        }
        Ok(Self(Arc::clone(file)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Cannot fail on a descriptor that was locked; closing it would unlock it as well.
        let _ = self.0.unlock();
    }
}

impl Log {
    /// Opens the log, and follows it forward from the last signed record.
    pub(super) fn open(
        directory: PathBuf,
        segment_size: u64,
        trust: Trust,
        signed: Option<&Signed>,
    ) -> Result<Self> {
        let mut place = Place::open(directory)?;
        let (file, identity, reach) = loop {
            let closed = place.closed()?;
            let found = begin(&mut place, &closed, signed);
            // Others may have closed segments while we looked for the right one.
            if place.closed()? == closed {
                break found?;
            }
        };
        let mut log = Self {
            asides: Vec::new(),
            end: 0,
            file,
            fresh: false,
            identity,
            line: Vec::new(),
            place,
            reach,
            reserved: 0,
            segment_size,
            short: None,
            suspect: false,
            synced: 0,
            trust,
        };
        let held = log.enter(true, true)?;
        log.reserve();
        drop(held);
        Ok(log)
    }

    /// Appends one record and returns its number.
    pub(super) fn append(&mut self, record: &Record<'_>, wait: bool) -> Result<u64> {
        let held = self.enter(wait, false)?;
        self.repair(record.time)?;
        self.write(record)?;
        let sequence = self.reach.position.sequence;
        if self.reach.size >= self.segment_size {
            // The record is written. If the segment cannot be closed now, the next append does it
            // first, or is refused.
            let _ = self.close_segment(record.time);
        }
        self.reserve();
        drop(held);
        Ok(sequence)
    }

    /// Looks at what other processes have appended; returns where the log ends.
    pub(super) fn refresh(&mut self) -> Result<Reach> {
        let held = self.enter(true, true)?;
        drop(held);
        Ok(self.reach)
    }

    /// Closes the current segment, if anything is in it.
    pub(super) fn rotate(&mut self, time: f64) -> Result<()> {
        let held = self.enter(true, true)?;
        self.repair(time)?;
        if self.reach.size > 0 {
            self.close_segment(time)?;
        }
        drop(held);
        Ok(())
    }

    /// Refuses if the log is not where it was, or has too little space in reserve to record what
    /// would be done.
    pub(super) fn require(&mut self, wait: bool) -> Result<()> {
        let held = self.enter(wait, true)?;
        self.reserve();
        drop(held);
        match &self.short {
            None => Ok(()),
            Some(why) => Err(Failure::Broken(format!(
                "there is no space in reserve for what would have to be recorded ({why}): free \
                 space on its disk"
            ))),
        }
    }

    pub(super) fn is_short(&self) -> bool {
        self.short.is_some()
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) fn trust_mut(&mut self) -> &mut Trust {
        &mut self.trust
    }

    /// Brings what is in the current segment to the disk, and returns how far that is.
    ///
    /// After a sync that failed, the system may hold pages for clean that are not on the disk, and
    /// the next sync would succeed without them (fsync(2), ERRORS). So they are written again.
    pub(super) fn start_sync(&mut self) -> Result<(Arc<File>, u64)> {
        let held = self.enter(true, true)?;
        if self.suspect {
            self.rewrite()?;
        }
        drop(held);
        Ok((Arc::clone(&self.file), self.reach.size))
    }

    pub(super) fn end_sync(
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

    fn rewrite(&mut self) -> Result<()> {
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

    /// Locks the current segment and catches up with its end.
    ///
    /// While one waits for the lock, others may fill the segment and go on in the next, and again
    /// while one waits for that. However often it happens, each segment ends with a later record.
    ///
    /// Args say whether to wait for the lock, and whether to look for the file by its name even if
    /// nothing seems to have happened to it.
    fn enter(&mut self, wait: bool, look: bool) -> Result<Held> {
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

    /// Puts aside what does not hold behind the last record, and records that.
    ///
    /// A process or a machine that stops in the middle of a write leaves such an end; so does a
    /// writer of the file who has no key. Its bytes are kept in a file of their own.
    fn repair(&mut self, time: f64) -> Result<()> {
        if self.end > self.reach.size {
            self.put_aside(self.end)?;
        }
        while let Some((name, bytes, hash)) = self.asides.first() {
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

    fn put_aside(&mut self, size: u64) -> Result<()> {
        let start = self.reach.size;
        let sequence = self.reach.position.sequence;
        let (name, hash) = self.place.keep(sequence, &self.file, start, size)?;
        self.file.set_len(start).or_else(doing("truncate"))?;
        self.end = start;
        // The blocks behind the end went with it.
        self.reserved = start;
        self.asides.push((name, size - start, hash));
        Ok(())
    }

    /// Closes the segment with a record and goes on in a new one.
    fn close_segment(&mut self, time: f64) -> Result<()> {
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
    fn finish_closing(&mut self) -> Result<()> {
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
    fn next_segment(&mut self) -> Result<()> {
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
        (self.reserved, self.synced, self.suspect) = (0, 0, false);
        Ok(())
    }

    /// Makes sure that there are blocks for what comes next.
    fn reserve(&mut self) {
        let left = self.reserved.saturating_sub(self.reach.size);
        if left >= RESERVE {
            self.short = None;
            return;
        }
        match self.allocate() {
            Ok(()) => {
                self.reserved = self.reach.size + AHEAD;
                self.short = None;
            }
            Err(error) => self.short = Some(error.to_string()),
        }
    }

    fn allocate(&self) -> io::Result<()> {
        loop {
            // The size stays: what is reserved is no part of the log.
            match fallocate(
                &*self.file,
                FallocateFlags::KEEP_SIZE,
                self.reach.size,
                AHEAD,
            ) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // A file system that cannot reserve tells at least what is free.
        let free = fstatvfs(&*self.file)?;
        if free.f_bavail.saturating_mul(free.f_frsize) < AHEAD {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Writes one record at the end, whole or not at all.
    fn write(&mut self, record: &Record<'_>) -> Result<()> {
        self.line.clear();
        let key = self.trust.key();
        let position = audit::write(&mut self.line, record, self.reach.position, key);
        if self.line.len() > audit::MAX_LINE {
            return Err(Failure::Broken(
                "a record outgrew the limits of its members".to_owned(),
            ));
        }
        let written = loop {
            match (&*self.file).write(&self.line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let error = match written {
            Ok(length) if length == self.line.len() => {
                self.reach.position = position;
                self.reach.size += length as u64;
                self.reach.ended = record.operation == audit::ROTATED;
                self.reach.revision = self.reach.revision.max(record.revision.unwrap_or_default());
                return Ok(());
            }
            Ok(_) => io::ErrorKind::StorageFull.into(),
            Err(error) => error,
        };
        // If this fails as well, the next append finds an end that does not hold and puts it aside.
        let _ = self.file.set_len(self.reach.size);
        self.reserved = self.reach.size;
        doing("append to")(error)
    }
}

/// Finds the segment in which the last signed record lies, or the first one of all.
fn begin(
    place: &mut Place,
    closed: &[u64],
    signed: Option<&Signed>,
) -> Result<(Arc<File>, Identity, Reach)> {
    let wanted = signed.map_or(0, |signed| signed.position.sequence);
    let segment = closed.iter().find(|&&last| last >= wanted);
    let (file, identity) = match segment {
        Some(&last) => place.open_closed(last)?,
        None => place.open_current()?,
    };
    let mut reach = Reach::default();
    if let Some(signed) = signed {
        let found = find(&file, signed.position, signed.end)?;
        reach = found.ok_or_else(|| {
            Failure::Broken(format!(
                "record {wanted} was signed, and is not there: the log was changed, cut or put \
                 back, or `{}` is none of its segments; verify it, and see `vaultcore audit \
                 reconcile`",
                segment_name(segment.copied())
            ))
        })?;
        reach.revision = reach.revision.max(signed.revision);
    } else if let Some(entry) = first(&file)? {
        // What came before was given up when its retention had passed.
        reach.position.head = entry.previous;
        reach.position.sequence = entry.position.sequence.saturating_sub(1);
    } else if let Some(&last) = closed.last() {
        return Err(Failure::Broken(format!(
            "its closed segment {last} begins with no record"
        )));
    }
    Ok((file, identity, reach))
}
