//! The log as several threads use it, and what it needs from outside.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vaultcore_core::audit::{Mac, Position, Record};

use crate::failure::{Failure, Result};
use crate::log::{Log, Signed};
use crate::segment::Reach;
use crate::trust::{Known, Trust};

/// The size from which a segment is closed, in bytes, unless the caller says otherwise.
pub const SEGMENT_SIZE: u64 = 256 * 1024 * 1024;

/// How often a failed append is tried again at most.
const ATTEMPTS: u32 = 3;

/// The user of a log, which gives the log what it needs from outside.
pub trait Caller {
    /// The errors of the caller.
    type Error;

    /// The time, in seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// There is no clock.
    fn now(&self) -> std::result::Result<f64, Self::Error>;

    /// How many forks lie between this process and the first one. Asking the system for the process
    /// would cost each record a system call.
    fn forks(&self) -> u32;

    /// Takes note of an append that failed, and of how often it was tried again; says whether it is
    /// worth another attempt.
    ///
    /// # Errors
    ///
    /// The caller cannot say.
    fn again(&self, error: &Self::Error, attempt: u32) -> std::result::Result<bool, Self::Error>;

    /// Turns a failure of the log into an error.
    fn error(&self, failure: Failure) -> Self::Error;

    /// Does what may have to wait for another thread, another process or the disk.
    fn wait<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T;
}

/// An audit log. Several threads may share it, and several processes may have one on the same
/// folder.
pub struct AuditLog {
    inner: Mutex<Log>,
    process: u32,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuditLog(...)")
    }
}

impl AuditLog {
    /// Opens the log in a folder, which is created if it does not exist, and follows it forward from
    /// the last signed record. Segments are closed when they have `segment_size` bytes.
    ///
    /// # Errors
    ///
    /// The log does not hold that record, does not go on from it, or the system refuses.
    pub fn open<C: Caller>(
        caller: &C,
        directory: PathBuf,
        segment_size: u64,
        trust: Trust,
        signed: Option<&Signed>,
    ) -> std::result::Result<Self, C::Error> {
        let opened = caller.wait(|| Log::open(directory, segment_size, trust, signed));
        Ok(Self {
            inner: Mutex::new(opened.map_err(|failure| caller.error(failure))?),
            process: caller.forks(),
        })
    }

    /// Appends a record with the time of the caller's clock, and returns its number.
    ///
    /// When it returns, the record outlives the process, and after [`sync`](Self::sync) the machine.
    ///
    /// # Errors
    ///
    /// It cannot be written; nothing of it is in the log then.
    pub fn append<C: Caller>(
        &self,
        caller: &C,
        mut record: Record<'_>,
    ) -> std::result::Result<u64, C::Error> {
        self.check_process(caller)?;
        if record.operation.starts_with("AuditLog") {
            return Err(caller.error(Failure::Reserved));
        }
        record.time = caller.now()?;
        let mut attempt = 0;
        loop {
            let error = match self.at_once(caller, |log, wait| log.append(&record, wait)) {
                Ok(sequence) => return Ok(sequence),
                Err(failure) => caller.error(failure),
            };
            let again = caller.again(&error, attempt)?;
            attempt += 1;
            if !again || attempt > ATTEMPTS {
                return Err(error);
            }
        }
    }

    /// Refuses if the log is not where it was, or has too little space in reserve to record what
    /// would be done.
    ///
    /// # Errors
    ///
    /// The log was moved, cut or replaced, cannot be read, or has too little space.
    pub fn require<C: Caller>(&self, caller: &C) -> std::result::Result<(), C::Error> {
        self.check_process(caller)?;
        self.at_once(caller, Log::require)
            .map_err(|failure| caller.error(failure))
    }

    /// Waits until what was appended is on the disk.
    ///
    /// # Errors
    ///
    /// It cannot be brought there, or the log is not where it was.
    pub fn sync<C: Caller>(&self, caller: &C) -> std::result::Result<(), C::Error> {
        // Not under the lock: appends go on meanwhile, and need not be in this sync.
        self.waiting(caller, || {
            let (file, size) = self.lock().start_sync()?;
            let done = file.sync_data();
            self.lock().end_sync(&file, size, done)
        })
    }

    /// Looks at what other processes have appended; returns where the log ends.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or is not where it was.
    pub fn refresh<C: Caller>(&self, caller: &C) -> std::result::Result<Reach, C::Error> {
        self.waiting(caller, || self.lock().refresh())
    }

    /// Closes the current segment, if anything is in it.
    ///
    /// # Errors
    ///
    /// It cannot be closed, or not yet; the next append finishes it.
    pub fn rotate<C: Caller>(&self, caller: &C) -> std::result::Result<(), C::Error> {
        let time = caller.now()?;
        self.waiting(caller, || self.lock().rotate(time))
    }

    /// Where the log ended when it was last looked at.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.lock().reach()
    }

    /// Whether there was too little space in reserve when that was last looked at.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.lock().is_short()
    }

    /// Takes over keys that were changed.
    pub fn set_keys(&self, keys: Vec<Known>) {
        self.lock().trust_mut().keys = keys;
    }

    /// Says whether a whole record by an unknown key counts as no record.
    pub fn set_distrust(&self, distrust: bool) {
        self.lock().trust_mut().distrust = distrust;
    }

    /// The MAC of a document by the key in use.
    ///
    /// # Errors
    ///
    /// The log has no keys.
    pub fn tag(&self, document: &[u8]) -> Result<Mac> {
        let log = self.lock();
        let key = log.trust().key().ok_or(Failure::Unkeyed)?;
        Ok(key.of_document(document))
    }

    /// Whether one of the first `believed` keys made the MAC of a document; the key in use is the
    /// first.
    #[must_use]
    pub fn tagged(&self, document: &[u8], tag: &[u8], believed: usize) -> bool {
        let log = self.lock();
        let mut keys = log.trust().keys.iter().take(believed);
        keys.any(|known| known.key.made_document(document, tag))
    }

    /// Whether this installation made a record.
    #[must_use]
    pub fn made(&self, position: Position, mac: Option<&Mac>) -> bool {
        let Position { head, sequence } = position;
        self.lock().trust().made(sequence, &head, mac)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child shares the lock of its parent, which then excludes neither.
    fn check_process<C: Caller>(&self, caller: &C) -> std::result::Result<(), C::Error> {
        if self.process == caller.forks() {
            return Ok(());
        }
        Err(caller.error(Failure::Forked))
    }

    /// Does something at once if the log is free, which it nearly always is: it takes microseconds,
    /// and to prepare the caller for a wait would cost more.
    fn at_once<C: Caller, T: Send>(
        &self,
        caller: &C,
        work: impl Fn(&mut Log, bool) -> Result<T> + Send,
    ) -> Result<T> {
        if let Ok(mut log) = self.inner.try_lock() {
            match work(&mut log, false) {
                Err(Failure::Busy) => {}
                done => return done,
            }
        }
        caller.wait(move || work(&mut self.lock(), true))
    }

    fn waiting<C: Caller, T: Send>(
        &self,
        caller: &C,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> std::result::Result<T, C::Error> {
        self.check_process(caller)?;
        caller.wait(work).map_err(|failure| caller.error(failure))
    }
}
