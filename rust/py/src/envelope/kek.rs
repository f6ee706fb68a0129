//! `KeyEncryptionKey`.

#![expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands the arguments of a method over by value"
)]

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use vaultcore_core::envelope::{Content, KekId, Suite};
use vaultcore_core::kek::{KeyEncryptionKey, KeyVersion, OpenJob, SealJob};
use vaultcore_core::secret::{SecretBytes, SecretKey};
use vaultcore_core::Error;

use super::batch::write_all;
use super::context::ContextArgument;
use crate::error::to_python;
use crate::gil::leave;
use crate::key::PyKey;

/// A key-encryption key.
#[pyclass(module = "vaultcore", name = "KeyEncryptionKey", frozen)]
pub(crate) struct PyKeyEncryptionKey(pub(crate) Arc<KeyEncryptionKey>);

#[pymethods]
impl PyKeyEncryptionKey {
    #[staticmethod]
    #[pyo3(signature = (*, suite = 1))]
    fn generate(suite: u8) -> PyResult<Self> {
        Suite::from_number(suite)
            .and_then(KeyEncryptionKey::generate)
            .map_or_else(|error| Err(to_python(error)), |kek| Ok(Self(Arc::new(kek))))
    }

    #[staticmethod]
    #[pyo3(signature = (raw, *, id = None, suite = 1))]
    fn danger_from_bytes(raw: &Bound<'_, PyAny>, id: Option<&str>, suite: u8) -> PyResult<Self> {
        let key = if let Ok(raw) = raw.cast::<PyBytes>() {
            SecretKey::from_slice(raw.as_bytes())
        } else if let Ok(raw) = raw.cast::<PyByteArray>() {
            let mut copy = SecretBytes::from(raw.to_vec());
            SecretKey::from_slice(copy.expose_mut())
        } else {
            return Err(PyTypeError::new_err(
                "the bytes of a key are bytes or a bytearray",
            ));
        };
        let make = || {
            let id = id.map(KekId::parse).transpose()?;
            KeyEncryptionKey::from_key(id, Suite::from_number(suite)?, key?)
        };
        make().map(|kek| Self(Arc::new(kek))).map_err(to_python)
    }

    #[staticmethod]
    #[pyo3(signature = (versions, *, vault, name, suite = 1))]
    fn from_versions(
        versions: Vec<(u32, String, Bound<'_, PyKey>)>,
        vault: &str,
        name: &str,
        suite: u8,
    ) -> PyResult<Self> {
        let versions: Vec<_> = versions
            .iter()
            .map(|(generation, version, key)| KeyVersion {
                generation: *generation,
                version,
                key: &key.get().0,
            })
            .collect();
        Suite::from_number(suite)
            .and_then(|suite| KeyEncryptionKey::from_versions(vault, name, suite, &versions))
            .map_or_else(|error| Err(to_python(error)), |kek| Ok(Self(Arc::new(kek))))
    }

    fn danger_to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let key = self.0.danger_expose().map_err(to_python)?;
        Ok(PyBytes::new(py, key.as_slice()))
    }

    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    #[getter]
    fn suite(&self) -> u8 {
        self.0.suite().number()
    }

    #[getter]
    fn generation(&self) -> u32 {
        self.0.generation()
    }

    #[getter]
    fn generations(&self) -> Vec<u32> {
        self.0.generations()
    }

    fn rotate(&self) -> PyResult<u32> {
        self.0.rotate().map_err(to_python)
    }

    fn retire(&self) -> PyResult<()> {
        self.0.retire().map_err(to_python)
    }

    fn adopt(&self, copy: &Self) -> PyResult<()> {
        self.0.adopt(&copy.0).map_err(to_python)
    }

    #[pyo3(
        signature = (plaintext, *, context = ContextArgument::NONE),
        text_signature = "($self, plaintext, *, context=None)"
    )]
    fn seal<'py>(
        &self,
        py: Python<'py>,
        plaintext: &[u8],
        context: ContextArgument<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let size = self.0.sealed_size(plaintext.len()).map_err(to_python)?;
        let context = context.get();
        PyBytes::new_with(py, size, |out| {
            let job = SealJob {
                plaintext,
                context,
                out,
            };
            leave(py, cost(size), || self.0.seal_into(Content::Message, job)).map_err(to_python)
        })
    }

    #[pyo3(
        signature = (blob, *, context = ContextArgument::NONE),
        text_signature = "($self, blob, *, context=None)"
    )]
    fn open<'py>(
        &self,
        py: Python<'py>,
        blob: &[u8],
        context: ContextArgument<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let size = self.0.opened_size(blob).map_err(to_python)?;
        let context = context.get();
        PyBytes::new_with(py, size, |out| {
            let job = OpenJob { blob, context, out };
            leave(py, cost(size), || self.0.open_into(Content::Message, job)).map_err(to_python)
        })
    }

    #[pyo3(signature = (plaintexts, *, context = None, contexts = None))]
    fn seal_many<'py>(
        &self,
        py: Python<'py>,
        plaintexts: Vec<Bound<'py, PyBytes>>,
        context: Option<ContextArgument<'py>>,
        contexts: Option<Vec<ContextArgument<'py>>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let contexts = Contexts::new(plaintexts.len(), context, contexts)?;
        let mut sizes = Vec::with_capacity(plaintexts.len());
        for plaintext in &plaintexts {
            let size = self
                .0
                .sealed_size(plaintext.as_bytes().len())
                .map_err(to_python)?;
            sizes.push(size);
        }
        write_all(py, &sizes, |start, buffers| {
            let inputs = plaintexts.iter().zip(contexts.iter()).skip(start);
            let jobs: Vec<_> = inputs
                .zip(buffers)
                .map(|((plaintext, context), out)| SealJob {
                    plaintext: plaintext.as_bytes(),
                    context: context.get(),
                    out,
                })
                .collect();
            let estimate = jobs.iter().map(|job| cost(job.out.len())).sum();
            leave(py, estimate, || self.0.seal_many(Content::Message, jobs)).map_err(to_python)
        })
    }

    #[pyo3(signature = (blobs, *, context = None, contexts = None))]
    fn open_many<'py>(
        &self,
        py: Python<'py>,
        blobs: Vec<Bound<'py, PyBytes>>,
        context: Option<ContextArgument<'py>>,
        contexts: Option<Vec<ContextArgument<'py>>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let contexts = Contexts::new(blobs.len(), context, contexts)?;
        let mut sizes = Vec::with_capacity(blobs.len());
        for blob in &blobs {
            sizes.push(self.0.opened_size(blob.as_bytes()).map_err(to_python)?);
        }
        write_all(py, &sizes, |start, buffers| {
            let inputs = blobs.iter().zip(contexts.iter()).skip(start);
            let jobs: Vec<_> = inputs
                .zip(buffers)
                .map(|((blob, context), out)| OpenJob {
                    blob: blob.as_bytes(),
                    context: context.get(),
                    out,
                })
                .collect();
            let estimate = jobs.iter().map(|job| cost(job.out.len())).sum();
            leave(py, estimate, || self.0.open_many(Content::Message, jobs)).map_err(to_python)
        })
    }

    fn rewrap<'py>(&self, py: Python<'py>, blob: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, blob.len(), |out| {
            self.0.rewrap_into(blob, out).map_err(to_python)
        })
    }

    fn rewrap_many<'py>(
        &self,
        py: Python<'py>,
        blobs: Vec<Bound<'py, PyBytes>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let sizes: Vec<_> = blobs.iter().map(|blob| blob.as_bytes().len()).collect();
        write_all(py, &sizes, |start, buffers| {
            let mut jobs: Vec<_> = blobs
                .iter()
                .skip(start)
                .map(PyBytesMethods::as_bytes)
                .zip(buffers)
                .collect();
            leave(py, 1_000 * jobs.len() as u64, || {
                jobs.iter_mut()
                    .try_for_each(|(blob, out)| self.0.rewrap_into(blob, out))
            })
            .map_err(to_python)
        })
    }

    #[pyo3(signature = (blob, *, context, new_context, under = None))]
    fn reseal<'py>(
        &self,
        py: Python<'py>,
        blob: &[u8],
        context: ContextArgument<'py>,
        new_context: ContextArgument<'py>,
        under: Option<&Self>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let target = &under.unwrap_or(self).0;
        let (context, new_context) = (context.get(), new_context.get());
        let sealed = leave(py, 2 * cost(blob.len()), || {
            self.0.reseal(blob, context, target, new_context)
        });
        sealed
            .map(|blob| PyBytes::new(py, &blob))
            .map_err(to_python)
    }

    #[pyo3(signature = (blob, *, context))]
    fn verify(&self, py: Python<'_>, blob: &[u8], context: ContextArgument<'_>) -> PyResult<()> {
        let context = context.get();
        leave(py, cost(blob.len()), || self.0.verify(blob, context)).map_err(to_python)
    }

    fn wrap_under<'py>(&self, py: Python<'py>, outer: &Self) -> PyResult<Bound<'py, PyBytes>> {
        let blob = self.0.wrap_under(&outer.0).map_err(to_python)?;
        Ok(PyBytes::new(py, &blob))
    }

    #[staticmethod]
    fn unwrap_under(outer: &Self, blob: &[u8]) -> PyResult<Self> {
        let kek = KeyEncryptionKey::unwrap_under(&outer.0, blob).map_err(to_python)?;
        Ok(Self(Arc::new(kek)))
    }

    fn __repr__(&self) -> String {
        format!(
            "KeyEncryptionKey(id='{}', generation={})",
            self.0.id(),
            self.0.generation()
        )
    }

    /// Refuses pickling and copying, which both come here.
    #[expect(clippy::unused_self, reason = "Python calls this on an instance")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a key-encryption key cannot be pickled or copied; pass it on as it is, or use wrap_under",
        ))
    }
}

/// The contexts of a batch: one for all, or one for each.
enum Contexts<'py> {
    Each(Vec<ContextArgument<'py>>),
    One(ContextArgument<'py>, usize),
}

impl<'py> Contexts<'py> {
    fn new(
        count: usize,
        one: Option<ContextArgument<'py>>,
        each: Option<Vec<ContextArgument<'py>>>,
    ) -> PyResult<Self> {
        match (one, each) {
            (Some(_), Some(_)) => Err(usage(
                "pass context for all or contexts for each, not both".to_owned(),
            )),
            (None, Some(each)) if each.len() != count => Err(usage(format!(
                "there are {} contexts for {count} items",
                each.len()
            ))),
            (None, Some(each)) => Ok(Self::Each(each)),
            (one, None) => Ok(Self::One(one.unwrap_or(ContextArgument::NONE), count)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &ContextArgument<'py>> {
        let (each, one): (&[_], _) = match self {
            Self::Each(each) => (each, None),
            Self::One(one, count) => (&[], Some(std::iter::repeat_n(one, *count))),
        };
        each.iter().chain(one.into_iter().flatten())
    }
}

fn usage(reason: String) -> PyErr {
    to_python(Error::Usage(reason))
}

/// How long sealing or opening takes, in nanoseconds: a fixed part, and 4 bytes in each.
fn cost(size: usize) -> u64 {
    700 + size as u64 / 4
}
