//! The space behind the last record, kept so that a refusal can be recorded on a full disk.

use std::fs::File;
use std::io;

use rustix::fs::{fallocate, fstatvfs, FallocateFlags};
use rustix::io::Errno;

/// How much space is reserved at a time behind the last record, in bytes.
const AHEAD: u64 = 4 * 1024 * 1024;
/// With less than this in reserve, nothing may be done that would have to be recorded.
const LEAST: u64 = 1024 * 1024;

/// The reserve of the current segment.
#[derive(Default)]
pub(crate) struct Reserve {
    /// Why there is not enough space in reserve; none while there is.
    short: Option<String>,
    /// How far the file has blocks.
    until: u64,
}

impl Reserve {
    /// Makes sure that there are blocks for what comes behind `end`.
    pub(crate) fn renew(&mut self, file: &File, end: u64) {
        if self.until.saturating_sub(end) >= LEAST {
            self.short = None;
            return;
        }
        match allocate(file, end) {
            Ok(()) => {
                self.until = end + AHEAD;
                self.short = None;
            }
            Err(error) => self.short = Some(error.to_string()),
        }
    }

    /// Notes that the file was cut, and that the blocks behind its end went with it.
    pub(crate) fn cut(&mut self, end: u64) {
        self.until = end;
    }

    /// Why there is not enough space in reserve; none while there is.
    pub(crate) fn short(&self) -> Option<&str> {
        self.short.as_deref()
    }
}

fn allocate(file: &File, end: u64) -> io::Result<()> {
    loop {
        // The size stays: the reserve is not part of the log.
        match fallocate(file, FallocateFlags::KEEP_SIZE, end, AHEAD) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // A file system that cannot reserve tells at least what is free.
    let free = fstatvfs(file)?;
    if free.f_bavail.saturating_mul(free.f_frsize) < AHEAD {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}
