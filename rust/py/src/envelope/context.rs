//! Contexts, created once or on the fly.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyMapping, PyString};
use vaultcore_core::context::{Context, Value};
use vaultcore_core::Error;

use crate::error::to_python;

/// A context, encoded once.
#[pyclass(module = "vaultcore", name = "Context", frozen)]
pub(crate) struct PyContext(Context);

#[pymethods]
impl PyContext {
    #[new]
    fn new(fields: &Bound<'_, PyAny>) -> PyResult<Self> {
        encode(fields).map(Self)
    }

    #[getter]
    fn encoded<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.as_bytes())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("Context({} bytes encoded)", self.0.as_bytes().len())
    }
}

/// A `context` argument: a `Context`, a mapping, or nothing.
pub(crate) enum ContextArgument<'py> {
    Made(Bound<'py, PyContext>),
    New(Context),
}

impl ContextArgument<'_> {
    pub(crate) const NONE: Self = Self::New(Context::EMPTY);

    pub(crate) fn get(&self) -> &Context {
        match self {
            Self::Made(context) => &context.get().0,
            Self::New(context) => context,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for ContextArgument<'py> {
    type Error = PyErr;

    fn extract(argument: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(context) = argument.cast::<PyContext>() {
            return Ok(Self::Made(context.to_owned()));
        }
        if argument.is_none() {
            return Ok(Self::NONE);
        }
        encode(&argument).map(Self::New)
    }
}

fn encode(fields: &Bound<'_, PyAny>) -> PyResult<Context> {
    let items = if let Ok(fields) = fields.cast::<PyDict>() {
        fields.iter().collect::<Vec<_>>()
    } else if let Ok(fields) = fields.cast::<PyMapping>() {
        let items = fields.items()?;
        items
            .iter()
            .map(|item| item.extract())
            .collect::<PyResult<Vec<_>>>()?
    } else {
        return Err(PyTypeError::new_err(
            "a context is a Context, a mapping or None",
        ));
    };
    let mut encoded = Vec::with_capacity(items.len());
    for (name, value) in &items {
        let Ok(name) = name.cast::<PyString>() else {
            return Err(PyTypeError::new_err("the name of a context field is a str"));
        };
        encoded.push((text(name)?, field(value)?));
    }
    Context::new(&mut encoded).map_err(to_python)
}

fn field<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
    if let Ok(value) = value.cast::<PyString>() {
        Ok(Value::Text(text(value)?))
    } else if let Ok(value) = value.cast::<PyBytes>() {
        Ok(Value::Bytes(value.as_bytes()))
    } else if let Ok(value) = value.cast::<PyBool>() {
        // Before int, of which bool is a subclass.
        Ok(Value::Bool(value.is_true()))
    } else if let Ok(value) = value.cast::<PyInt>() {
        value.extract().map(Value::Int).map_err(|_| {
            usage("an int in a context is between -2**63 and 2**63 - 1; pass larger ones as str")
        })
    } else if value.is_none() {
        Ok(Value::Null)
    } else {
        Err(PyTypeError::new_err(
            "a value of a context is a str, bytes, int, bool or None",
        ))
    }
}

fn text<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    text.to_str().map_err(|error| {
        if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) {
            usage("a text in a context has no UTF-8 encoding: it contains a lone surrogate")
        } else {
            error
        }
    })
}

fn usage(reason: &str) -> PyErr {
    to_python(Error::Usage(reason.to_owned()))
}
