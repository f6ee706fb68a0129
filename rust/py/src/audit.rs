//! The file of the audit log, as Python uses it.

mod failure;
mod log;
mod place;
mod segment;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString};
use vaultcore_core::audit::{self, Extra, MacKey, Position, Record};
use vaultcore_core::Error;

use self::failure::{python, python_error, Failure};
use self::log::{Log, Signed};
use self::segment::{Known, Trust};
use crate::error::to_python;
use crate::gate::Principal;
use crate::key::PyKey;

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct AuditLog {
    /// Asked about a failed append: whether to try again. It is told how often that was done.
    failed: Option<Py<PyAny>>,
    inner: Mutex<Log>,
    now: Option<Py<PyAny>>,
    process: u32,
}

/// How often a failed append is tried again at most.
const ATTEMPTS: u32 = 3;

/// How many forks lie between this process and the one that loaded the module. Asking the system
/// for the process would cost each record a system call.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Counts a fork; the interpreter calls it in the child.
#[pyfunction]
pub(crate) fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

impl AuditLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_once(&self, py: Python<'_>, record: &Record<'_>) -> Result<u64, Failure> {
        // Nearly always nobody else holds the log, and the write is over in microseconds.
        if let Ok(mut log) = self.inner.try_lock() {
            match log.append(record, false) {
                Err(Failure::Busy) => {}
                done => return done,
            }
        }
        py.detach(|| self.lock().append(record, true))
    }

    /// A child shares the lock of its parent, which then excludes neither.
    fn check_process(&self) -> PyResult<()> {
        if self.process == FORKS.load(Ordering::Relaxed) {
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
    #[pyo3(signature = (directory, *, keys=Vec::new(), unkeyed=0, signed=None, distrust=false, now=None, failed=None, segment_size=268_435_456))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        keys: Vec<KeyUntil<'_>>,
        unkeyed: u64,
        signed: Option<(u64, String, Option<u64>, u64)>,
        distrust: bool,
        now: Option<Py<PyAny>>,
        failed: Option<Py<PyAny>>,
        segment_size: u64,
    ) -> PyResult<Self> {
        let trust = Trust {
            keys: known(keys)?,
            distrust,
            unkeyed,
        };
        let signed = signed.map(|(sequence, head, end, revision)| {
            let head = audit::unhex_hash(&head).ok_or_else(|| {
                to_python(Error::Usage(
                    "a hash is 64 lower-case hexadecimal digits".to_owned(),
                ))
            })?;
            Ok::<_, PyErr>(Signed {
                position: Position { head, sequence },
                end,
                revision,
            })
        });
        let signed = signed.transpose()?;
        let log = py
            .detach(|| Log::open(directory, segment_size, trust, signed.as_ref()))
            .map_err(python_error)?;
        Ok(Self {
            failed,
            inner: Mutex::new(log),
            now,
            process: FORKS.load(Ordering::Relaxed),
        })
    }

    #[pyo3(signature = (
        vault, operation, api_version, status, result_description, duration_ms, address,
        correlation_id, principal, request_uri, client_info, object_id, extra=None, *, revision=None,
        time=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn append(
        &self,
        py: Python<'_>,
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
        revision: Option<u64>,
        time: Option<f64>,
    ) -> PyResult<u64> {
        self.check_process()?;
        let time = match (time, &self.now) {
            (Some(time), _) => time,
            (None, Some(now)) => now.call0(py)?.extract(py)?,
            (None, None) => {
                return Err(PyTypeError::new_err("a log without a clock needs the time"));
            }
        };
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
            revision,
            status,
            time,
            vault: &text(vault)?,
        };
        if record.operation.starts_with("AuditLog") {
            return Err(to_python(Error::Usage(
                "operations named AuditLog... are the log's own".to_owned(),
            )));
        }
        let mut attempt = 0;
        loop {
            let failure = match self.append_once(py, &record) {
                Ok(sequence) => return Ok(sequence),
                Err(failure) => python_error(failure),
            };
            let Some(handler) = &self.failed else {
                return Err(failure);
            };
            let again: bool = handler
                .call1(py, (failure.value(py), attempt))?
                .extract(py)?;
            attempt += 1;
            if !again || attempt > ATTEMPTS {
                return Err(failure);
            }
        }
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process()?;
        // Not under the lock: appends go on meanwhile, and need not be in this sync.
        py.detach(|| {
            let (file, size) = self.lock().start_sync()?;
            let done = file.sync_data();
            self.lock().end_sync(&file, size, done)
        })
        .map_err(python_error)
    }

    fn position(&self, py: Python<'_>) -> PyResult<(u64, String, u64, u64)> {
        self.check_process()?;
        let reach = py.detach(|| self.lock().refresh()).map_err(python_error)?;
        let head = audit::hex(&reach.position.head);
        Ok((reach.position.sequence, head, reach.size, reach.revision))
    }

    fn rotate(&self, py: Python<'_>, time: f64) -> PyResult<()> {
        self.check_process()?;
        py.detach(|| self.lock().rotate(time)).map_err(python_error)
    }

    fn require(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process()?;
        // As for an append: giving the interpreter lock away would cost more than the look.
        if let Ok(mut log) = self.inner.try_lock() {
            match log.require(false) {
                Err(Failure::Busy) => {}
                done => return done.map_err(python_error),
            }
        }
        py.detach(|| self.lock().require(true))
            .map_err(python_error)
    }

    #[getter]
    fn short(&self) -> bool {
        self.lock().is_short()
    }

    fn set_keys(&self, keys: Vec<KeyUntil<'_>>) -> PyResult<()> {
        self.lock().trust_mut().keys = known(keys)?;
        Ok(())
    }

    fn set_distrust(&self, distrust: bool) {
        self.lock().trust_mut().distrust = distrust;
    }

    fn tag(&self, document: &[u8]) -> PyResult<Vec<u8>> {
        let log = self.lock();
        let key = log.trust().key().ok_or_else(|| {
            to_python(Error::Usage("this log was opened without keys".to_owned()))
        })?;
        Ok(key.of_document(document).to_vec())
    }

    #[pyo3(signature = (document, tag, *, retired=false))]
    fn tagged(&self, document: &[u8], tag: &[u8], retired: bool) -> bool {
        let log = self.lock();
        let believed = if retired { usize::MAX } else { 1 };
        let mut keys = log.trust().keys.iter().take(believed);
        keys.any(|known| known.key.made_document(document, tag))
    }

    #[pyo3(signature = (sequence, digest, mac))]
    fn made(&self, sequence: u64, digest: &str, mac: Option<&str>) -> bool {
        let (Some(head), Ok(mac)) = (
            audit::unhex_hash(digest),
            mac.map(|mac| audit::unhex_mac(mac).ok_or(())).transpose(),
        ) else {
            return false;
        };
        self.lock().trust().made(sequence, &head, mac.as_ref())
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.lock().reach().position.sequence
    }

    #[getter]
    fn head(&self) -> String {
        audit::hex(&self.lock().reach().position.head)
    }
}

/// A key of MACs, and the last record that it may have made.
type KeyUntil<'py> = (PyRef<'py, PyKey>, Option<u64>);

fn known(keys: Vec<KeyUntil<'_>>) -> PyResult<Vec<Known>> {
    keys.into_iter()
        .map(|(key, until)| {
            let key = MacKey::from_key(&key.0).map_err(to_python)?;
            Ok(Known { key, until })
        })
        .collect()
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
