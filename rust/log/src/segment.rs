//! One file of the log: reading it forward, record by record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{seek, SeekFrom};
use vaultcore_core::audit::{self, Entry, Position};

use crate::failure::{doing, Result};
use crate::trust::Trust;

/// How much of a segment is read at once; the longest line fits several times.
pub(crate) const CHUNK: u64 = 512 * 1024;

/// How far a segment holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach {
    /// Whether the record at `position` ends the segment.
    pub ended: bool,
    /// The last record that holds.
    pub position: Position,
    /// The highest revision of the store that a record told of.
    pub revision: u64,
    /// Where the record at `position` ends, and the next one has to begin.
    pub size: u64,
}

impl Reach {
    /// Follows the records of a file up to an offset, or to the first that does not hold.
    pub(crate) fn follow(&mut self, file: &File, end: u64, trust: &Trust) -> Result<()> {
        while self.size < end && !self.ended {
            let stop = end.min(self.size + CHUNK);
            let bytes = read_range(file, self.size, stop)?;
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                if !self.step(line, trust)? {
                    // A record may go on in the next chunk; nothing else is passed over.
                    let cut = stop < end && !line.ends_with(b"\n") && line.len() < audit::MAX_LINE;
                    if !cut {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes one line, newline included, if it is the next record.
    fn step(&mut self, line: &[u8], trust: &Trust) -> Result<bool> {
        let Some(entry) = line.strip_suffix(b"\n").and_then(Entry::read) else {
            return Ok(false);
        };
        if self.ended || !entry.follows(self.position) || !trust.accepts(&entry)? {
            return Ok(false);
        }
        self.take(&entry, line.len() as u64);
        Ok(true)
    }

    /// Goes on behind a record.
    pub(crate) fn take(&mut self, entry: &Entry, length: u64) {
        self.position = entry.position;
        self.size += length;
        self.ended = entry.ends_segment;
        self.revision = self.revision.max(entry.revision.unwrap_or_default());
    }
}

/// Finds a signed record, whose place in the file may be known; none if it is not there.
pub(crate) fn find(file: &File, signed: Position, end: Option<u64>) -> Result<Option<Reach>> {
    let size = end_of(file)?;
    let at = |end: u64, line: &[u8]| {
        Entry::read(line)
            .filter(|entry| entry.position == signed)
            .map(|entry| {
                let mut reach = Reach::default();
                reach.take(&entry, 0);
                reach.size = end;
                reach
            })
    };
    if let Some(end) = end.filter(|&end| end <= size) {
        let bytes = read_range(file, end.saturating_sub(audit::MAX_LINE as u64), end)?;
        if let Some(line) = bytes.strip_suffix(b"\n") {
            let start = line.iter().rposition(|&byte| byte == b'\n');
            let line = line.get(start.map_or(0, |start| start + 1)..);
            if let Some(found) = line.and_then(|line| at(end, line)) {
                return Ok(Some(found));
            }
        }
    }
    // Older checkpoints name no place, and a place may have been changed.
    let mut offset = 0;
    while offset < size {
        let bytes = read_range(file, offset, size.min(offset + CHUNK))?;
        let mut passed = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else {
                break;
            };
            passed += line.len() as u64;
            if let Some(found) = at(offset + passed, text) {
                return Ok(Some(found));
            }
        }
        // A line longer than any record is passed over.
        offset += if passed == 0 {
            bytes.len().max(1) as u64
        } else {
            passed
        };
    }
    Ok(None)
}

/// The first record of a file, whatever stands before it.
pub(crate) fn first(file: &File) -> Result<Option<Entry>> {
    let end = end_of(file)?.min(audit::MAX_LINE as u64);
    let bytes = read_range(file, 0, end)?;
    let line = bytes.split(|&byte| byte == b'\n').next();
    Ok(line.and_then(Entry::read))
}

/// The size of a file. Moves its offset, which appends do not use; cheaper than asking for all of
/// its metadata.
pub(crate) fn end_of(file: &File) -> Result<u64> {
    seek(file, SeekFrom::End(0))
        .map_err(io::Error::from)
        .or_else(doing("look at"))
}

pub(crate) fn read_range(file: &File, start: u64, end: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it became shorter while it was read"),
            _ => error,
        })
        .or_else(doing("read"))?;
    Ok(bytes)
}
