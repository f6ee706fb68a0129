//! The streaming form of the envelope.

#![expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands the arguments of a method over by value"
)]

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vaultcore_core::context::Context;
use vaultcore_core::kek::KeyEncryptionKey;
use vaultcore_core::stream::{Opener, Sealer};
use vaultcore_core::Error;

use crate::envelope::{ContextArgument, PyKeyEncryptionKey};
use crate::error::to_python;
use crate::gil::leave;

/// Seals a stream.
#[pyclass(module = "vaultcore", name = "StreamSealer", frozen)]
pub(crate) struct PyStreamSealer(Mutex<Sealer>);

#[pymethods]
impl PyStreamSealer {
    #[new]
    #[pyo3(
        signature = (kek, *, context = ContextArgument::NONE),
        text_signature = "(kek, *, context=None)"
    )]
    fn new(kek: &PyKeyEncryptionKey, context: ContextArgument<'_>) -> PyResult<Self> {
        let sealer = Sealer::new(&kek.0, context.get()).map_err(to_python)?;
        Ok(Self(Mutex::new(sealer)))
    }

    fn update<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut sealer = enter(&self.0)?;
        let sealer = &mut *sealer;
        PyBytes::new_with(py, sealer.update_size(data.len()), |out| {
            leave(py, cost(out.len()), || sealer.update(data, out)).map_err(to_python)
        })
    }

    fn finalize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut sealer = enter(&self.0)?;
        let sealer = &mut *sealer;
        PyBytes::new_with(py, sealer.finish_size(), |out| {
            leave(py, cost(out.len()), || sealer.finish(out)).map_err(to_python)
        })
    }
}

/// Opens a stream.
#[pyclass(module = "vaultcore", name = "StreamOpener", frozen)]
pub(crate) struct PyStreamOpener {
    opener: Mutex<Opener>,
    kek: Arc<KeyEncryptionKey>,
    context: Context,
}

#[pymethods]
impl PyStreamOpener {
    #[new]
    #[pyo3(
        signature = (kek, *, context = ContextArgument::NONE),
        text_signature = "(kek, *, context=None)"
    )]
    fn new(kek: &PyKeyEncryptionKey, context: ContextArgument<'_>) -> Self {
        Self {
            opener: Mutex::new(Opener::new()),
            kek: Arc::clone(&kek.0),
            context: context.get().clone(),
        }
    }

    fn update<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut opener = enter(&self.opener)?;
        let opener = &mut *opener;
        let data = opener
            .read_head(&self.kek, &self.context, data)
            .map_err(to_python)?;
        PyBytes::new_with(py, opener.update_size(data.len()), |out| {
            leave(py, cost(out.len()), || opener.update(data, out)).map_err(to_python)
        })
    }

    fn finalize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut opener = enter(&self.opener)?;
        let opener = &mut *opener;
        PyBytes::new_with(py, opener.finish_size(), |out| {
            leave(py, cost(out.len()), || opener.finish(out)).map_err(to_python)
        })
    }
}

/// Takes the stream for one call.
///
/// Nobody waits here: who waits holds the interpreter lock, which the other may need to get done.
fn enter<T>(stream: &Mutex<T>) -> PyResult<MutexGuard<'_, T>> {
    match stream.try_lock() {
        Ok(stream) => Ok(stream),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(to_python(Error::Usage(
            "a stream is used by one thread at a time".to_owned(),
        ))),
    }
}

/// What sealing or opening takes, in nanoseconds: 4 bytes in each.
fn cost(size: usize) -> u64 {
    size as u64 / 4
}
