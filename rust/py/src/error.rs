//! The only map from the core's errors to Python's exceptions.

use pyo3::PyErr;
use vaultcore_core::Error;

mod python {
    pyo3::import_exception!(vaultcore.errors, AlgorithmError);
    pyo3::import_exception!(vaultcore.errors, DecryptionError);
    pyo3::import_exception!(vaultcore.errors, KeyFormatError);
    pyo3::import_exception!(vaultcore.errors, UsageError);
    pyo3::import_exception!(vaultcore.errors, VaultcoreError);
}

/// Turns an error of the core into the exception that Python sees.
pub(crate) fn to_python(error: Error) -> PyErr {
    match error {
        Error::Algorithm(reason) => python::AlgorithmError::new_err(reason),
        Error::Decrypt => python::DecryptionError::new_err(()),
        Error::KeyFormat(reason) => python::KeyFormatError::new_err(reason),
        Error::Usage(reason) => python::UsageError::new_err(reason),
        other => python::VaultcoreError::new_err(other.to_string()),
    }
}
