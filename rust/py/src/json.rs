//! The strict check of a JSON body.

use pyo3::prelude::*;
use vaultcore_core::json::{check, Limits};
use vaultcore_core::Error;

use crate::error::to_python;

#[pyfunction]
#[pyo3(signature = (body, *, max_depth=16, max_members=1000))]
pub(crate) fn check_json(body: &[u8], max_depth: usize, max_members: usize) -> PyResult<()> {
    check(
        body,
        Limits {
            depth: max_depth,
            members: max_members,
        },
    )
    .map_err(|fault| to_python(Error::Usage(fault.to_string())))
}
