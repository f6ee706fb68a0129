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

    // audit

    // envelope
    #[pymodule_export]
    use super::envelope::{inspect, PyContext, PyEnvelopeInfo, PyKeyEncryptionKey};

    // gate

    // json

    // key

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
        Ok(())
    }
}
