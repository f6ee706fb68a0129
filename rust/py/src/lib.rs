//! The bindings: `vaultcore._core`. Thin; what they bind is in the core crate.

mod audit;
mod envelope;
mod error;
mod gate;
mod gil;
mod json;
mod key;
mod stream;

#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    // audit
    #[pymodule_export]
    use crate::audit::AuditLog;
    #[pymodule_export]
    const DOCUMENT_LABEL: &[u8] = vaultcore_core::audit::DOCUMENT;
    #[pymodule_export]
    const MAX_KEPT: u64 = vaultcore_log::MAX_KEPT;
    #[pymodule_export]
    const MAX_LINE: usize = vaultcore_core::audit::MAX_LINE;
    #[pymodule_export]
    const RECORD_LABEL: &[u8] = vaultcore_core::audit::LABEL;
    #[pymodule_export]
    const ROTATED: &str = vaultcore_core::audit::ROTATED;

    // envelope
    #[pymodule_export]
    use super::envelope::{inspect, PyContext, PyEnvelopeInfo, PyKeyEncryptionKey};

    // gate
    #[pymodule_export]
    use crate::gate::{
        api_versions, bearer_token, object_name, operation_names, parse_operation,
        permission_names, Admission, Gate, Operation, Principal,
    };
    #[pymodule_export]
    const API_VERSION: &str = vaultcore_core::operation::LATEST;
    #[pymodule_export]
    const MAX_RESULTS: u8 = vaultcore_core::operation::MAX_RESULTS;
    #[pymodule_export]
    const MAX_TOKEN_LENGTH: usize = vaultcore_core::gate::MAX_TOKEN_LENGTH;
    #[pymodule_export]
    const ADMITTED: u8 = 0;
    #[pymodule_export]
    const CHALLENGE: u8 = 1;
    #[pymodule_export]
    const FIREWALL: u8 = 2;
    #[pymodule_export]
    const UNKNOWN_TOKEN: u8 = 3;
    #[pymodule_export]
    const INVALID: u8 = 4;
    #[pymodule_export]
    const DENIED: u8 = 5;

    // json
    #[pymodule_export]
    use crate::json::check_json;

    // key
    #[pymodule_export]
    use super::key::{PyEncrypted, PyKey};

    // stream
    #[pymodule_export]
    use super::stream::{PyStreamOpener, PyStreamSealer};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("backend", super::envelope::backend())?;
        module.add(
            "build_profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        )?;
        let options = PyDict::new(module.py());
        options.set_item(
            "after_in_child",
            wrap_pyfunction!(crate::audit::count_fork, module)?,
        )?;
        module
            .py()
            .import("os")?
            .call_method("register_at_fork", (), Some(&options))?;
        Ok(())
    }
}
