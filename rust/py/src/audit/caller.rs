//! What the log needs from Python: the clock, a judgement of failures, exceptions, the interpreter lock.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use vaultcore_core::Error;
use vaultcore_log::{Caller, Failure};

use crate::error::to_python;

mod python {
    pyo3::import_exception!(vaultcore.errors, AuditError);
    pyo3::import_exception!(vaultcore.errors, AuditKeyError);
    pyo3::import_exception!(vaultcore.errors, ForkError);
}

/// How many forks lie between this process and the one that loaded the module.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Counts a fork; the interpreter calls it in the child.
#[pyfunction]
pub(crate) fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A thread that holds the interpreter lock.
pub(super) struct Interpreter<'a, 'py> {
    /// Asked about a failed append.
    pub(super) failed: Option<&'a Py<PyAny>>,
    /// Asked for the time, where none is given.
    pub(super) now: Option<&'a Py<PyAny>>,
    pub(super) py: Python<'py>,
    pub(super) time: Option<f64>,
}

impl Caller for Interpreter<'_, '_> {
    type Error = PyErr;

    fn now(&self) -> PyResult<f64> {
        match (self.time, self.now) {
            (Some(time), _) => Ok(time),
            (None, Some(now)) => now.call0(self.py)?.extract(self.py),
            (None, None) => Err(PyTypeError::new_err("a log without a clock needs the time")),
        }
    }

    fn forks(&self) -> u32 {
        FORKS.load(Ordering::Relaxed)
    }

    fn again(&self, error: &PyErr, attempt: u32) -> PyResult<bool> {
        match self.failed {
            Some(failed) => failed
                .call1(self.py, (error.value(self.py), attempt))?
                .extract(self.py),
            None => Ok(false),
        }
    }

    fn error(&self, failure: Failure) -> PyErr {
        exception(&failure)
    }

    fn wait<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.py.detach(work)
    }
}

/// The only map from the log's failures to Python's exceptions.
pub(super) fn exception(failure: &Failure) -> PyErr {
    let text = failure.to_string();
    match failure {
        Failure::Foreign => python::AuditKeyError::new_err(text),
        Failure::Forked => python::ForkError::new_err(text),
        Failure::Reserved | Failure::Unkeyed => to_python(Error::Usage(text)),
        _ => python::AuditError::new_err(text),
    }
}
