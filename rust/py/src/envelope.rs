//! Key encryption keys and envelopes.

mod batch;
mod context;
mod kek;

pub(crate) use context::{ContextArgument, PyContext};
pub(crate) use kek::PyKeyEncryptionKey;

use pyo3::prelude::*;
use vaultcore_core::envelope;

use crate::error::to_python;

/// The unencrypted part of an envelope.
#[pyclass(module = "vaultcore", name = "EnvelopeInfo", frozen, get_all, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PyEnvelopeInfo {
    version: u8,
    suite: u8,
    content: &'static str,
    kek_id: String,
    generation: u32,
    payload_size: Option<u64>,
}

#[pymethods]
impl PyEnvelopeInfo {
    fn __repr__(&self) -> String {
        let size = self
            .payload_size
            .map_or_else(|| "None".to_owned(), |size| size.to_string());
        format!(
            "EnvelopeInfo(version={}, suite={}, content='{}', kek_id='{}', generation={}, \
             payload_size={size})",
            self.version, self.suite, self.content, self.kek_id, self.generation
        )
    }
}

/// Names the cryptographic backend and its version.
pub(crate) fn backend() -> String {
    format!("aws-lc-rs (AWS-LC {})", vaultcore_core::backend())
}

/// Reads the unencrypted part of an envelope.
#[pyfunction]
pub(crate) fn inspect(blob: &[u8]) -> PyResult<PyEnvelopeInfo> {
    let info = envelope::inspect(blob).map_err(to_python)?;
    Ok(PyEnvelopeInfo {
        version: info.version,
        suite: info.suite.number(),
        content: info.content.name(),
        kek_id: info.kek_id.to_string(),
        generation: info.generation,
        payload_size: info.payload_size,
    })
}
