//! What Python hands to the log, in the words of the log.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString};
use vaultcore_core::audit::{self, Extra, MacKey, Position};
use vaultcore_core::Error;
use vaultcore_log::{Known, Signed};

use crate::error::to_python;
use crate::key::PyKey;

/// A key of MACs, and the last record that it may have made.
pub(super) type KeyUntil<'py> = (PyRef<'py, PyKey>, Option<u64>);

/// The keys of a log.
pub(super) fn known(keys: Vec<KeyUntil<'_>>) -> PyResult<Vec<Known>> {
    keys.into_iter()
        .map(|(key, until)| {
            let key = MacKey::from_key(&key.0).map_err(to_python)?;
            Ok(Known { key, until })
        })
        .collect()
}

/// A text that clients had a hand in: what is not Unicode becomes U+FFFD.
pub(super) fn text<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(match text.to_str() {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => text.to_string_lossy(),
        });
    }
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(String::from_utf8_lossy(bytes.as_bytes())),
        Err(_) => Err(PyTypeError::new_err("expected str or bytes")),
    }
}

/// What an operation adds to its record.
pub(super) fn extras(extra: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Extra)>> {
    let mut extras = Vec::with_capacity(extra.len());
    for (name, value) in extra {
        let name = text(&name)?.into_owned();
        let value = if let Ok(flag) = value.cast::<PyBool>() {
            Extra::Flag(flag.is_true())
        } else if value.is_instance_of::<PyInt>() {
            Extra::Number(value.extract()?)
        } else {
            Extra::Text(text(&value)?.into_owned())
        };
        extras.push((name, value));
    }
    Ok(extras)
}

/// The last signed record: its number, its hash, where it ends, and the revision.
pub(super) fn signed(
    (sequence, head, end, revision): (u64, String, Option<u64>, u64),
) -> PyResult<Signed> {
    let head = audit::unhex_hash(&head).ok_or_else(|| {
        to_python(Error::Usage(
            "a hash is 64 lower-case hexadecimal digits".to_owned(),
        ))
    })?;
    Ok(Signed {
        position: Position { head, sequence },
        end,
        revision,
    })
}
