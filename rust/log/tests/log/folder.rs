//! A folder for a log, and what it holds.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use vaultcore_core::audit::{Entry, Position, Record};
use vaultcore_log::{AuditLog, Result, Trust};

use crate::tester::Tester;

/// A segment that no test fills.
pub(crate) const LARGE: u64 = 1 << 30;

/// A folder of a test's own, removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("log-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the log.
    pub(crate) fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The segment that is appended to.
    pub(crate) fn current(&self) -> PathBuf {
        self.audit().join("audit.jsonl")
    }

    /// The segment that a record closed.
    pub(crate) fn closed(&self, last: u64) -> PathBuf {
        self.audit().join(format!("audit-{last:020}.jsonl"))
    }

    pub(crate) fn open(&self, segment_size: u64) -> AuditLog {
        open(&self.audit(), segment_size).unwrap()
    }

    /// Appends bytes to the current segment, as somebody else would.
    pub(crate) fn scribble(&self, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let mut file: File = options.append(true).open(self.current()).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Every record, and the operation of each.
    pub(crate) fn chain(&self) -> Vec<(Entry, String)> {
        chain(&self.audit())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) fn open(audit: &Path, segment_size: u64) -> Result<AuditLog> {
    let trust = Trust::default();
    AuditLog::open(
        &Tester::default(),
        audit.to_path_buf(),
        segment_size,
        trust,
        None,
    )
}

pub(crate) fn append(log: &AuditLog) -> Result<u64> {
    log.append(&Tester::default(), record())
}

pub(crate) fn record() -> Record<'static> {
    Record {
        operation: "SecretGet",
        status: 200,
        ..Record::default()
    }
}

/// The records of all segments in their order, each of which has to follow the one before.
pub(crate) fn chain(audit: &Path) -> Vec<(Entry, String)> {
    let mut segments: Vec<_> = fs::read_dir(audit)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    // The current segment comes last: a hyphen stands before a full stop.
    segments.sort();
    let mut records = Vec::new();
    let mut position = Position::default();
    for segment in segments {
        let text = fs::read_to_string(&segment).unwrap();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "{}",
            segment.display()
        );
        for line in text.lines() {
            let entry = Entry::read(line.as_bytes()).unwrap();
            assert!(
                entry.follows(position),
                "{position:?} in {}",
                segment.display()
            );
            position = entry.position;
            let (_, rest) = line.split_once("\"operationName\":\"").unwrap();
            let (operation, _) = rest.split_once('"').unwrap();
            records.push((entry, operation.to_owned()));
        }
    }
    records
}
