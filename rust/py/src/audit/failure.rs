//! Why the log could not be used.

use std::io;

use pyo3::prelude::*;

pub(super) mod python {
    pyo3::import_exception!(vaultcore.errors, AuditError);
    pyo3::import_exception!(vaultcore.errors, AuditKeyError);
    pyo3::import_exception!(vaultcore.errors, ForkError);
}

/// Why nothing could be written.
pub(super) enum Failure {
    /// The lock is held by another process, and we were asked not to wait.
    Busy,
    /// The log is not in a state to go on from.
    Broken(String),
    /// A whole record has a MAC of a key that is not known here.
    Foreign,
    /// The system refused.
    System(&'static str, io::Error),
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

/// Names what was being done when the system refused.
pub(super) fn doing<T>(what: &'static str) -> impl FnOnce(io::Error) -> Result<T> {
    move |error| Err(Failure::System(what, error))
}

pub(super) fn python_error(failure: Failure) -> PyErr {
    python::AuditError::new_err(match failure {
        Failure::Busy => "cannot use the audit log: another process holds it".to_owned(),
        Failure::Broken(why) => format!("cannot use the audit log: {why}"),
        Failure::Foreign => {
            return python::AuditKeyError::new_err(
                "the audit log holds a record whose MAC no known key made",
            );
        }
        Failure::System(what, error) => format!("cannot {what} the audit log: {error}"),
    })
}
