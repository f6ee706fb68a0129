//! Keys.

#![expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands the arguments of a method over by value"
)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};
use vaultcore_core::envelope::Content;
use vaultcore_core::key::{Algorithm, Encrypted, Export, Jwk, Key, Operation, Shape};
use vaultcore_core::Error;

use crate::envelope::{ContextArgument, PyKeyEncryptionKey};
use crate::error::to_python;
use crate::gil;

/// A key: its material stays in Rust.
#[pyclass(frozen, name = "Key", module = "vaultcore")]
pub(crate) struct PyKey(pub(crate) Key);

/// The result of encrypting.
#[pyclass(frozen, name = "Encrypted", module = "vaultcore")]
pub(crate) struct PyEncrypted {
    #[pyo3(get)]
    ciphertext: Py<PyBytes>,
    #[pyo3(get)]
    nonce: Option<Py<PyBytes>>,
    #[pyo3(get)]
    tag: Option<Py<PyBytes>>,
    #[pyo3(get)]
    associated_data: Py<PyBytes>,
}

#[pymethods]
impl PyKey {
    #[staticmethod]
    #[pyo3(signature = (kty, *, size=None, curve=None, alg=None, exportable=false))]
    fn generate(
        py: Python<'_>,
        kty: &str,
        size: Option<usize>,
        curve: Option<&str>,
        alg: Option<&str>,
        exportable: bool,
    ) -> PyResult<Self> {
        let shape = match (size, curve, alg) {
            (None, None, None) => Shape::Default,
            (Some(size), None, None) => Shape::Size(size),
            (None, Some(curve), None) => Shape::Curve(curve),
            (None, None, Some(alg)) => Shape::Algorithm(alg),
            _ => {
                let reason = "a key has a size, a curve or an algorithm: give only one of them";
                return Err(to_python(Error::Usage(reason.to_owned())));
            }
        };
        // Creating an RSA key takes up to seconds; the others are too rare to matter.
        gil::leave(py, u64::MAX, || {
            Key::generate(kty, shape, export(exportable))
        })
        .map(Self)
        .map_err(to_python)
    }

    #[staticmethod]
    #[pyo3(signature = (jwk, *, exportable=false))]
    fn from_jwk(jwk: &Bound<'_, PyAny>, exportable: bool) -> PyResult<Self> {
        let jwk = if let Ok(text) = jwk.extract::<&str>() {
            Jwk::parse(text.as_bytes()).map_err(to_python)?
        } else if let Ok(text) = jwk.cast::<PyBytes>() {
            Jwk::parse(text.as_bytes()).map_err(to_python)?
        } else {
            read_members(jwk.cast::<PyMapping>()?)?
        };
        Key::from_jwk(&jwk, export(exportable))
            .map(Self)
            .map_err(to_python)
    }

    #[staticmethod]
    #[pyo3(signature = (data, *, exportable=false))]
    fn from_pem(data: &[u8], exportable: bool) -> PyResult<Self> {
        Key::from_pem(data, export(exportable))
            .map(Self)
            .map_err(to_python)
    }

    #[staticmethod]
    #[pyo3(signature = (data, *, exportable=false))]
    fn from_der(data: &[u8], exportable: bool) -> PyResult<Self> {
        Key::from_der(data, export(exportable))
            .map(Self)
            .map_err(to_python)
    }

    #[getter]
    fn kty(&self) -> &'static str {
        self.0.kty()
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[getter]
    fn curve(&self) -> Option<&'static str> {
        self.0.curve()
    }

    #[getter]
    fn is_private(&self) -> bool {
        self.0.is_private()
    }

    #[getter]
    fn exportable(&self) -> bool {
        self.0.exportable()
    }

    #[getter]
    fn algorithms(&self) -> Vec<&'static str> {
        self.0.algorithms()
    }

    fn public_jwk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let jwk = PyDict::new(py);
        for (name, value) in self.0.public_jwk().map_err(to_python)? {
            jwk.set_item(name, value)?;
        }
        Ok(jwk)
    }

    fn public_pem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let pem = self.0.public_pem().map_err(to_python)?;
        Ok(PyBytes::new(py, pem.as_bytes()))
    }

    fn public_der<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let der = self.0.public_der().map_err(to_python)?;
        Ok(PyBytes::new(py, &der))
    }

    fn thumbprint(&self) -> PyResult<String> {
        self.0.thumbprint().map_err(to_python)
    }

    fn export_private_jwk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let jwk = PyDict::new(py);
        for (name, value) in self.0.export_private_jwk().map_err(to_python)? {
            jwk.set_item(name, value.as_str())?;
        }
        Ok(jwk)
    }

    fn export_private_pem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let pem = self.0.export_private_pem().map_err(to_python)?;
        Ok(PyBytes::new(py, pem.as_bytes()))
    }

    fn sign<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        digest: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let algorithm = parse(alg)?;
        self.one(py, Operation::Private, digest.len(), |key| {
            key.sign(algorithm, digest)
        })
    }

    fn sign_many<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        digests: Vec<PyBackedBytes>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let algorithm = parse(alg)?;
        self.many(py, Operation::Private, &digests, |key, digest| {
            key.sign(algorithm, digest)
        })
    }

    fn verify(&self, py: Python<'_>, alg: &str, digest: &[u8], signature: &[u8]) -> PyResult<bool> {
        let algorithm = parse(alg)?;
        let estimate = self.0.estimate_ns(Operation::Public, digest.len());
        gil::leave(py, estimate, || self.0.verify(algorithm, digest, signature)).map_err(to_python)
    }

    fn verify_many(
        &self,
        py: Python<'_>,
        alg: &str,
        pairs: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<Vec<bool>> {
        let algorithm = parse(alg)?;
        let estimate = pairs
            .iter()
            .map(|(digest, _)| self.0.estimate_ns(Operation::Public, digest.len()))
            .fold(0, u64::saturating_add);
        gil::leave(py, estimate, || {
            pairs
                .iter()
                .map(|(digest, signature)| self.0.verify(algorithm, digest, signature))
                .collect::<Result<_, _>>()
        })
        .map_err(to_python)
    }

    #[pyo3(signature = (alg, plaintext, *, nonce=None, associated_data=None))]
    fn encrypt(
        &self,
        py: Python<'_>,
        alg: &str,
        plaintext: &[u8],
        nonce: Option<&[u8]>,
        associated_data: Option<Bound<'_, PyBytes>>,
    ) -> PyResult<PyEncrypted> {
        let algorithm = parse(alg)?;
        let associated_data = associated_data.unwrap_or_else(|| PyBytes::new(py, b""));
        let bound: &[u8] = associated_data.as_bytes();
        let estimate = self
            .0
            .estimate_ns(Operation::Public, plaintext.len() + bound.len());
        let encrypted = gil::leave(py, estimate, || {
            self.0.encrypt(algorithm, plaintext, nonce, bound)
        })
        .map_err(to_python)?;
        Ok(PyEncrypted::from_core(py, &encrypted, associated_data))
    }

    #[pyo3(signature = (alg, plaintexts, *, associated_data=None))]
    fn encrypt_many(
        &self,
        py: Python<'_>,
        alg: &str,
        plaintexts: Vec<PyBackedBytes>,
        associated_data: Option<Bound<'_, PyBytes>>,
    ) -> PyResult<Vec<PyEncrypted>> {
        let algorithm = parse(alg)?;
        let associated_data = associated_data.unwrap_or_else(|| PyBytes::new(py, b""));
        let bound: &[u8] = associated_data.as_bytes();
        let estimate = self.estimate(Operation::Public, &plaintexts);
        let encrypted: Vec<Encrypted> = gil::leave(py, estimate, || {
            plaintexts
                .iter()
                .map(|plaintext| self.0.encrypt(algorithm, plaintext, None, bound))
                .collect::<Result<_, _>>()
        })
        .map_err(to_python)?;
        Ok(encrypted
            .iter()
            .map(|one| PyEncrypted::from_core(py, one, associated_data.clone()))
            .collect())
    }

    #[pyo3(signature = (alg, ciphertext, *, nonce=None, tag=None, associated_data=None))]
    fn decrypt<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        ciphertext: &[u8],
        nonce: Option<&[u8]>,
        tag: Option<&[u8]>,
        associated_data: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let algorithm = parse(alg)?;
        let bound = associated_data.unwrap_or_default();
        self.one(
            py,
            Operation::Private,
            ciphertext.len() + bound.len(),
            |key| key.decrypt(algorithm, ciphertext, nonce, tag, bound),
        )
    }

    fn decrypt_many<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        encrypted: Vec<Bound<'py, PyEncrypted>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let algorithm = parse(alg)?;
        let parts: Vec<_> = encrypted.iter().map(|one| one.get().parts(py)).collect();
        let estimate = parts
            .iter()
            .map(|part| {
                self.0
                    .estimate_ns(Operation::Private, part.ciphertext.len())
            })
            .fold(0, u64::saturating_add);
        let opened = gil::leave(py, estimate, || {
            parts
                .iter()
                .map(|part| {
                    let (nonce, tag) = (part.nonce, part.tag);
                    self.0
                        .decrypt(algorithm, part.ciphertext, nonce, tag, part.associated_data)
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(to_python)?;
        Ok(opened
            .iter()
            .map(|plaintext| PyBytes::new(py, plaintext))
            .collect())
    }

    fn wrap_key<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        key: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let algorithm = parse(alg)?;
        self.one(py, Operation::Public, key.len(), |kek| {
            kek.wrap(algorithm, key)
        })
    }

    fn wrap_key_many<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        keys: Vec<PyBackedBytes>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let algorithm = parse(alg)?;
        self.many(py, Operation::Public, &keys, |kek, key| {
            kek.wrap(algorithm, key)
        })
    }

    fn unwrap_key<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        wrapped: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let algorithm = parse(alg)?;
        self.one(py, Operation::Private, wrapped.len(), |kek| {
            kek.unwrap(algorithm, wrapped)
        })
    }

    fn unwrap_key_many<'py>(
        &self,
        py: Python<'py>,
        alg: &str,
        wrapped: Vec<PyBackedBytes>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let algorithm = parse(alg)?;
        self.many(py, Operation::Private, &wrapped, |kek, one| {
            kek.unwrap(algorithm, one)
        })
    }

    fn __repr__(&self) -> String {
        let part = if self.0.is_private() {
            "private"
        } else {
            "public"
        };
        match self.0.curve() {
            Some(curve) => format!("<Key {} {curve} {part}>", self.0.kty()),
            None => format!("<Key {} {} {part}>", self.0.kty(), self.0.size()),
        }
    }

    #[pyo3(signature = (kek, context=None))]
    fn seal<'py>(
        &self,
        py: Python<'py>,
        kek: &PyKeyEncryptionKey,
        context: Option<ContextArgument<'py>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let context = context.unwrap_or(ContextArgument::NONE);
        let encoded = self.0.encode_private().map_err(to_python)?;
        let blob = kek
            .0
            .seal(Content::Key, &encoded, context.get())
            .map_err(to_python)?;
        Ok(PyBytes::new(py, &blob))
    }

    #[staticmethod]
    #[pyo3(signature = (kek, blob, context=None))]
    fn open(
        py: Python<'_>,
        kek: &PyKeyEncryptionKey,
        blob: &[u8],
        context: Option<ContextArgument<'_>>,
    ) -> PyResult<Self> {
        let context = context.unwrap_or(ContextArgument::NONE);
        let context = context.get();
        // The backend checks an RSA key when it reads it, and that takes as long as a signature.
        gil::leave(py, READING_NS, || {
            let encoded = kek.0.open(Content::Key, blob, context)?;
            Key::decode_private(encoded.expose())
        })
        .map(Self)
        .map_err(to_python)
    }

    /// Refuses pickling and copying, which both come here.
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "{} cannot be pickled or copied; seal it under a key-encryption key",
            self.__repr__()
        )))
    }
}

impl PyKey {
    /// Runs one operation, and passes its bytes to Python.
    fn one<'py, T: AsRef<[u8]> + Send>(
        &self,
        py: Python<'py>,
        operation: Operation,
        len: usize,
        work: impl FnOnce(&Key) -> vaultcore_core::Result<T> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let estimate = self.0.estimate_ns(operation, len);
        let done = gil::leave(py, estimate, || work(&self.0)).map_err(to_python)?;
        Ok(PyBytes::new(py, done.as_ref()))
    }

    /// Runs one operation on each input, leaving the interpreter lock once.
    fn many<'py, T: AsRef<[u8]> + Send>(
        &self,
        py: Python<'py>,
        operation: Operation,
        inputs: &[PyBackedBytes],
        work: impl Fn(&Key, &[u8]) -> vaultcore_core::Result<T> + Send + Sync,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let estimate = self.estimate(operation, inputs);
        let done = gil::leave(py, estimate, || {
            inputs
                .iter()
                .map(|input| work(&self.0, input))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(to_python)?;
        Ok(done
            .iter()
            .map(|one| PyBytes::new(py, one.as_ref()))
            .collect())
    }

    fn estimate(&self, operation: Operation, inputs: &[PyBackedBytes]) -> u64 {
        inputs
            .iter()
            .map(|input| self.0.estimate_ns(operation, input.len()))
            .fold(0, u64::saturating_add)
    }
}

#[pymethods]
impl PyEncrypted {
    #[new]
    #[pyo3(signature = (ciphertext, nonce=None, tag=None, associated_data=None))]
    fn new(
        py: Python<'_>,
        ciphertext: Py<PyBytes>,
        nonce: Option<Py<PyBytes>>,
        tag: Option<Py<PyBytes>>,
        associated_data: Option<Py<PyBytes>>,
    ) -> Self {
        let associated_data = associated_data.unwrap_or_else(|| PyBytes::new(py, b"").unbind());
        Self {
            ciphertext,
            nonce,
            tag,
            associated_data,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Encrypted {} bytes>", self.ciphertext.as_bytes(py).len())
    }
}

impl PyEncrypted {
    fn from_core(py: Python<'_>, encrypted: &Encrypted, bound: Bound<'_, PyBytes>) -> Self {
        let bytes = |bytes: &Vec<u8>| PyBytes::new(py, bytes).unbind();
        Self {
            ciphertext: bytes(&encrypted.ciphertext),
            nonce: encrypted.nonce.as_ref().map(bytes),
            tag: encrypted.tag.as_ref().map(bytes),
            associated_data: bound.unbind(),
        }
    }

    fn parts<'py>(&'py self, py: Python<'py>) -> Parts<'py> {
        Parts {
            ciphertext: self.ciphertext.as_bytes(py),
            nonce: self.nonce.as_ref().map(|nonce| nonce.as_bytes(py)),
            tag: self.tag.as_ref().map(|tag| tag.as_bytes(py)),
            associated_data: self.associated_data.as_bytes(py),
        }
    }
}

/// The immutable bytes of an [`PyEncrypted`], for work without the interpreter lock.
struct Parts<'py> {
    ciphertext: &'py [u8],
    nonce: Option<&'py [u8]>,
    tag: Option<&'py [u8]>,
    associated_data: &'py [u8],
}

/// Reads the members of a mapping; values that are not text are recorded as such.
fn read_members(mapping: &Bound<'_, PyMapping>) -> PyResult<Jwk> {
    let mut jwk = Jwk::new();
    for item in mapping.items()? {
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyAny>) = item.extract()?;
        let value = value.cast::<PyString>().ok();
        let value = value.map(|text| text.to_str()).transpose()?;
        jwk.insert(name.to_str()?, value).map_err(to_python)?;
    }
    Ok(jwk)
}

fn parse(algorithm: &str) -> PyResult<Algorithm> {
    Algorithm::parse(algorithm).map_err(to_python)
}

fn export(exportable: bool) -> Export {
    if exportable {
        Export::Allowed
    } else {
        Export::Refused
    }
}

/// How long reading a private key is expected to take.
const READING_NS: u64 = 100_000;
