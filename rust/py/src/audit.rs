//! The file of the audit log.
//!
//! Several processes append to one chain. Each append happens under an exclusive `flock`, looks
//! whether another process has appended meanwhile, and is one `write`. What cannot be written whole
//! is taken back before the lock is.

use std::borrow::Cow;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString};
use vaultcore_core::audit::{self, Extra, Position, Record};
use vaultcore_core::Error;

use crate::error::to_python;
use crate::gate::Principal;

mod python {
    pyo3::import_exception!(vaultcore.errors, AuditError);
    pyo3::import_exception!(vaultcore.errors, ForkError);
}

/// The segment that is appended to.
const CURRENT: &str = "audit.jsonl";
/// How much of the end of a segment is looked at for its last whole record.
const MAX_TAIL: u64 = 1024 * 1024;

/// Why nothing could be written.
enum Failure {
    /// The lock is held by another process, and we were asked not to wait.
    Busy,
    /// The log is not in a state to go on from.
    Broken(String),
    /// The system refused.
    System(&'static str, io::Error),
}

type Result<T> = std::result::Result<T, Failure>;

/// Names what was being done when the system refused.
fn doing<T>(what: &'static str) -> impl FnOnce(io::Error) -> Result<T> {
    move |error| Err(Failure::System(what, error))
}

struct Log {
    directory: PathBuf,
    /// Where the file ended when it was last looked at; beyond `size` in it is a torn end.
    end: u64,
    file: Arc<File>,
    line: Vec<u8>,
    position: Position,
    segment_size: u64,
    /// Where the record at `position` ends, and the next one has to begin.
    size: u64,
}

/// What the end of a segment says.
struct Tail {
    /// Where the last whole record ends.
    end: u64,
    /// Whether that record ends the segment.
    ended: bool,
    position: Position,
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
    fn open(directory: PathBuf, segment_size: u64) -> Result<Self> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .or_else(doing("create"))?;
        let file = open_current(&directory)?;
        let position = Position::default();
        let mut log = Self {
            directory,
            end: 0,
            file,
            line: Vec::new(),
            position,
            segment_size,
            size: 0,
        };
        let held = log.enter(true)?;
        drop(held);
        Ok(log)
    }

    /// Appends one record and returns its number.
    fn append(&mut self, record: &Record<'_>, wait: bool) -> Result<u64> {
        let held = self.enter(wait)?;
        self.repair(record.time)?;
        self.write(record)?;
        let sequence = self.position.sequence;
        if self.size >= self.segment_size {
            // The record is written. If the segment cannot be closed now, the next append tries.
            let _ = self.rotate(record.time);
        }
        drop(held);
        Ok(sequence)
    }

    /// Looks at what other processes have appended.
    fn refresh(&mut self) -> Result<Position> {
        let held = self.enter(true)?;
        drop(held);
        Ok(self.position)
    }

    /// Locks the current segment and catches up with its end.
    ///
    /// While one waits for the lock, others may fill the segment and go on in the next, and again
    /// while one waits for that. However often it happens, each segment ends with a later record.
    fn enter(&mut self, wait: bool) -> Result<Held> {
        let mut closed = None;
        loop {
            let held = Held::take(&self.file, wait)?;
            let Some(last) = self.catch_up()? else {
                return Ok(held);
            };
            if closed >= Some(last) {
                return Err(Failure::Broken(
                    "its current segment has ended, and there is no next one".to_owned(),
                ));
            }
            closed = Some(last);
            self.file = open_current(&self.directory)?;
            self.size = 0;
        }
    }

    /// Reads the end of the segment if it is not where we left it.
    ///
    /// If the segment is closed, this returns the number of its last record.
    fn catch_up(&mut self) -> Result<Option<u64>> {
        let size = end_of(&self.file)?;
        self.end = size;
        if size == self.size && size > 0 {
            return Ok(None);
        }
        if size < self.size {
            return Err(Failure::Broken(
                "it became shorter: something else has cut it; verify it, and restart".to_owned(),
            ));
        }
        let tail = match tail(&self.file, size)? {
            Some(tail) => tail,
            None => Tail {
                end: 0,
                ended: false,
                position: last_closed(&self.directory)?,
            },
        };
        if tail.ended {
            if tail.end != size {
                return Err(Failure::Broken(
                    "there is something behind its last record".to_owned(),
                ));
            }
            let last = tail.position.sequence;
            self.put_aside(tail.position)?;
            return Ok(Some(last));
        }
        self.size = tail.end;
        self.position = tail.position;
        Ok(None)
    }

    /// Renames a segment that ended, unless another process has.
    fn put_aside(&self, last: Position) -> Result<()> {
        let current = self.directory.join(CURRENT);
        if same_file(&self.file, &current)? {
            let name = format!("audit-{:020}.jsonl", last.sequence);
            std::fs::rename(&current, self.directory.join(name)).or_else(doing("rename"))?;
            let folder = File::open(&self.directory).or_else(doing("open"))?;
            folder.sync_all().or_else(doing("sync"))?;
        }
        Ok(())
    }

    /// Moves a torn end aside and records that.
    ///
    /// A process or a machine that stops in the middle of a write leaves one. Its bytes are kept in
    /// a file of their own, and the chain goes on with a record that names their hash.
    fn repair(&mut self, time: f64) -> Result<()> {
        if self.end == self.size {
            return Ok(());
        }
        let torn = read_range(&self.file, self.size, self.end)?;
        let hash = audit::sha256(&torn);
        let name = format!(
            "torn-{:020}-{}.bin",
            self.position.sequence,
            hash.get(..16).unwrap_or("")
        );
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut aside = options
            .open(self.directory.join(&name))
            .or_else(doing("keep the end of"))?;
        aside.write_all(&torn).or_else(doing("keep the end of"))?;
        aside.sync_all().or_else(doing("keep the end of"))?;
        self.file.set_len(self.size).or_else(doing("truncate"))?;
        let extra = [
            (
                "bytes".to_owned(),
                Extra::Number(i64::try_from(torn.len()).unwrap_or(i64::MAX)),
            ),
            ("sha256".to_owned(), Extra::Text(hash)),
            ("keptIn".to_owned(), Extra::Text(name)),
        ];
        self.write(&Record {
            extra: &extra,
            operation: audit::REPAIRED,
            result_description: "the end of the log was not a whole record and was moved aside",
            status: 200,
            time,
            ..Record::default()
        })
    }

    /// Closes the segment with a record and goes on in a new one.
    fn rotate(&mut self, time: f64) -> Result<()> {
        self.write(&Record {
            operation: audit::ROTATED,
            result_description: "the log goes on in the next segment",
            status: 200,
            time,
            ..Record::default()
        })?;
        self.file.sync_all().or_else(doing("sync"))?;
        self.put_aside(self.position)?;
        self.file = open_current(&self.directory)?;
        self.size = 0;
        Ok(())
    }

    /// Writes one record at the end, whole or not at all.
    fn write(&mut self, record: &Record<'_>) -> Result<()> {
        self.line.clear();
        let position = audit::write(&mut self.line, record, self.position);
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
                self.size += self.line.len() as u64;
                self.position = position;
                return Ok(());
            }
            Ok(_) => io::ErrorKind::StorageFull.into(),
            Err(error) => error,
        };
        // If this fails as well, the next append finds a torn end and moves it aside.
        let _ = self.file.set_len(self.size);
        doing("append to")(error)
    }

    /// Whether the segment that is appended to is still the one that others will find.
    fn check_in_place(&self) -> Result<()> {
        if same_file(&self.file, &self.directory.join(CURRENT))? {
            return Ok(());
        }
        Err(Failure::Broken(
            "its file was moved away or replaced: put it back, and restart".to_owned(),
        ))
    }
}

fn open_current(directory: &Path) -> Result<Arc<File>> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let file = options
        .open(directory.join(CURRENT))
        .or_else(doing("open"))?;
    Ok(Arc::new(file))
}

/// The size of a file. Moves its offset, which appends do not use; cheaper than asking for all of
/// its metadata.
fn end_of(mut file: &File) -> Result<u64> {
    file.seek(SeekFrom::End(0)).or_else(doing("look at"))
}

fn same_file(file: &File, path: &Path) -> Result<bool> {
    let ours = file.metadata().or_else(doing("look at"))?;
    match std::fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => doing("look at")(error),
    }
}

fn read_range(file: &File, start: u64, end: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)
        .or_else(doing("read"))?;
    Ok(bytes)
}

/// Finds the last whole record; none if the segment holds none at all.
fn tail(file: &File, size: u64) -> Result<Option<Tail>> {
    // Nearly always the last record alone is needed, and it is short.
    for reach in [4096, audit::MAX_LINE as u64, MAX_TAIL] {
        let start = size.saturating_sub(reach);
        let bytes = read_range(file, start, size)?;
        if let Some(found) = last_whole(&bytes, start) {
            return Ok(Some(found));
        }
        if start == 0 {
            return Ok(None);
        }
    }
    Err(Failure::Broken(
        "there is no whole record near its end: verify it, and move the folder aside".to_owned(),
    ))
}

fn last_whole(bytes: &[u8], start: u64) -> Option<Tail> {
    let mut end = bytes.len();
    loop {
        let newline = bytes.get(..end)?.iter().rposition(|&byte| byte == b'\n')?;
        let before = bytes
            .get(..newline)?
            .iter()
            .rposition(|&byte| byte == b'\n');
        // Without a newline before it the line is whole only at the start of the segment.
        let line_start = match before {
            Some(before) => before + 1,
            None if start == 0 => 0,
            None => return None,
        };
        let line = bytes.get(line_start..newline)?;
        if let Some(position) = audit::read(line) {
            let end = start + newline as u64 + 1;
            return Some(Tail {
                end,
                ended: audit::ends_segment(line),
                position,
            });
        }
        end = newline;
    }
}

/// The place where the last closed segment left the chain.
fn last_closed(directory: &Path) -> Result<Position> {
    let mut last: Option<String> = None;
    for entry in std::fs::read_dir(directory).or_else(doing("read"))? {
        let name = entry.or_else(doing("read"))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = name
            .strip_prefix("audit-")
            .and_then(|rest| rest.strip_suffix(".jsonl"));
        let numbered = number.is_some_and(|digits| {
            digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        if numbered && last.as_deref().is_none_or(|last| last < name) {
            last = Some(name.to_owned());
        }
    }
    let Some(last) = last else {
        return Ok(Position::default());
    };
    let file = File::open(directory.join(last)).or_else(doing("open"))?;
    let size = file.metadata().or_else(doing("look at"))?.len();
    match tail(&file, size)? {
        Some(tail) if tail.ended && tail.end == size => Ok(tail.position),
        _ => Err(Failure::Broken(
            "its last closed segment does not end as it should".to_owned(),
        )),
    }
}

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct AuditLog {
    inner: Mutex<Log>,
    process: u32,
}

impl AuditLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child shares the lock of its parent, which then excludes neither.
    fn check_process(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(python::ForkError::new_err(
            "this audit log was opened by another process: open it again in this one",
        ))
    }
}

#[pymethods]
impl AuditLog {
    #[new]
    #[pyo3(signature = (directory, *, segment_size=268_435_456))]
    fn new(py: Python<'_>, directory: PathBuf, segment_size: u64) -> PyResult<Self> {
        let log = py
            .detach(|| Log::open(directory, segment_size))
            .map_err(failed)?;
        Ok(Self {
            inner: Mutex::new(log),
            process: std::process::id(),
        })
    }

    #[pyo3(signature = (
        *, time, vault, operation, api_version, status, result_description, duration_ms, address,
        correlation_id, principal, request_uri, client_info, object_id, extra=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn append(
        &self,
        py: Python<'_>,
        time: f64,
        vault: &Bound<'_, PyAny>,
        operation: &Bound<'_, PyAny>,
        api_version: &Bound<'_, PyAny>,
        status: u16,
        result_description: &Bound<'_, PyAny>,
        duration_ms: f64,
        address: &Bound<'_, PyAny>,
        correlation_id: &Bound<'_, PyAny>,
        principal: Option<&Bound<'_, Principal>>,
        request_uri: &Bound<'_, PyAny>,
        client_info: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        self.check_process()?;
        let extra = extra.map(extras).transpose()?.unwrap_or_default();
        let record = Record {
            address: &text(address)?,
            api_version: &text(api_version)?,
            client_info: &text(client_info)?,
            correlation_id: &text(correlation_id)?,
            duration_ms,
            extra: &extra,
            object_id: &text(object_id)?,
            operation: &text(operation)?,
            principal: principal.map(|principal| principal.get().inner()),
            request_uri: &text(request_uri)?,
            result_description: &text(result_description)?,
            status,
            time,
            vault: &text(vault)?,
        };
        if record.operation.starts_with("AuditLog") {
            return Err(to_python(Error::Usage(
                "operations named AuditLog... are the log's own".to_owned(),
            )));
        }
        // Nearly always nobody else holds the log, and the write is over in microseconds.
        if let Ok(mut log) = self.inner.try_lock() {
            match log.append(&record, false) {
                Err(Failure::Busy) => {}
                done => return done.map_err(failed),
            }
        }
        py.detach(|| self.lock().append(&record, true))
            .map_err(failed)
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process()?;
        // Not under the lock: appends go on meanwhile, and need not be in this sync.
        py.detach(|| {
            let file = {
                let log = self.lock();
                log.check_in_place()?;
                Arc::clone(&log.file)
            };
            file.sync_data().or_else(doing("sync"))
        })
        .map_err(failed)
    }

    fn position(&self, py: Python<'_>) -> PyResult<(u64, String)> {
        self.check_process()?;
        let position = py.detach(|| self.lock().refresh()).map_err(failed)?;
        Ok((position.sequence, audit::hex(&position.head)))
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.lock().position.sequence
    }

    #[getter]
    fn head(&self) -> String {
        audit::hex(&self.lock().position.head)
    }
}

fn failed(failure: Failure) -> PyErr {
    python::AuditError::new_err(match failure {
        Failure::Busy => "cannot use the audit log: another process holds it".to_owned(),
        Failure::Broken(why) => format!("cannot use the audit log: {why}"),
        Failure::System(what, error) => format!("cannot {what} the audit log: {error}"),
    })
}

/// A text that clients had a hand in: anything that is no Unicode becomes U+FFFD.
fn text<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(match text.to_str() {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => text.to_string_lossy(),
        });
    }
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(String::from_utf8_lossy(bytes.as_bytes())),
        Err(_) => Err(PyTypeError::new_err("expected str or bytes")),
    }
}

fn extras(extra: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Extra)>> {
    let mut extras = Vec::with_capacity(extra.len());
    for (name, value) in extra {
        let name = text(&name)?.into_owned();
        let value = if let Ok(flag) = value.cast::<PyBool>() {
            Extra::Flag(flag.is_true())
        } else if value.is_instance_of::<PyInt>() {
            Extra::Number(value.extract()?)
        } else {
            Extra::Text(text(&value)?.into_owned())
        };
        extras.push((name, value));
    }
    Ok(extras)
}
