//! The audit log, as Python uses it.

mod arguments;
mod caller;

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use vaultcore_core::audit::{self, Position, Record};
use vaultcore_log::{Trust, SEGMENT_SIZE};

pub(crate) use self::caller::count_fork;

use self::arguments::{extras, known, signed, text, KeyUntil};
use self::caller::{exception, Interpreter};
use crate::gate::Principal;

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct AuditLog {
    /// Asked about a failed append: whether to try again. It is told how often that was done.
    failed: Option<Py<PyAny>>,
    log: vaultcore_log::AuditLog,
    now: Option<Py<PyAny>>,
}

impl AuditLog {
    fn caller<'a, 'py>(&'a self, py: Python<'py>, time: Option<f64>) -> Interpreter<'a, 'py> {
        Interpreter {
            failed: self.failed.as_ref(),
            now: self.now.as_ref(),
            py,
            time,
        }
    }
}

#[pymethods]
impl AuditLog {
    #[new]
    #[pyo3(signature = (directory, *, keys=Vec::new(), unkeyed=0, signed=None, distrust=false, now=None, failed=None, segment_size=SEGMENT_SIZE))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        keys: Vec<KeyUntil<'_>>,
        unkeyed: u64,
        signed: Option<(u64, String, Option<u64>, u64)>,
        distrust: bool,
        now: Option<Py<PyAny>>,
        failed: Option<Py<PyAny>>,
        segment_size: u64,
    ) -> PyResult<Self> {
        let trust = Trust {
            keys: known(keys)?,
            distrust,
            unkeyed,
        };
        let signed = signed.map(self::signed).transpose()?;
        let caller = Interpreter {
            failed: None,
            now: None,
            py,
            time: None,
        };
        let log = vaultcore_log::AuditLog::open(
            &caller,
            directory,
            segment_size,
            trust,
            signed.as_ref(),
        )?;
        Ok(Self { failed, log, now })
    }

    #[pyo3(signature = (
        vault, operation, api_version, status, result_description, duration_ms, address,
        correlation_id, principal, request_uri, client_info, object_id, extra=None, *, revision=None,
        time=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn append(
        &self,
        py: Python<'_>,
        vault: &Bound<'_, PyAny>,
        operation: &Bound<'_, PyAny>,
        api_version: &Bound<'_, PyAny>,
        status: u16,
        result_description: &Bound<'_, PyAny>,
        duration_ms: f64,
        address: &Bound<'_, PyAny>,
        correlation_id: &Bound<'_, PyAny>,
        principal: Option<&Bound<'_, Principal>>,
        request_uri: &Bound<'_, PyAny>,
        client_info: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        extra: Option<&Bound<'_, PyDict>>,
        revision: Option<u64>,
        time: Option<f64>,
    ) -> PyResult<u64> {
        let extra = extra.map(extras).transpose()?.unwrap_or_default();
        let record = Record {
            address: &text(address)?,
            api_version: &text(api_version)?,
            client_info: &text(client_info)?,
            correlation_id: &text(correlation_id)?,
            duration_ms,
            extra: &extra,
            object_id: &text(object_id)?,
            operation: &text(operation)?,
            principal: principal.map(|principal| principal.get().inner()),
            request_uri: &text(request_uri)?,
            result_description: &text(result_description)?,
            revision,
            status,
            // The log takes it from its caller.
            time: 0.0,
            vault: &text(vault)?,
        };
        self.log.append(&self.caller(py, time), record)
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.log.sync(&self.caller(py, None))
    }

    fn position(&self, py: Python<'_>) -> PyResult<(u64, String, u64, u64)> {
        let reach = self.log.refresh(&self.caller(py, None))?;
        let head = audit::hex(&reach.position.head);
        Ok((reach.position.sequence, head, reach.size, reach.revision))
    }

    fn require(&self, py: Python<'_>) -> PyResult<()> {
        self.log.require(&self.caller(py, None))
    }

    #[getter]
    fn short(&self) -> bool {
        self.log.is_short()
    }

    fn set_keys(&self, keys: Vec<KeyUntil<'_>>) -> PyResult<()> {
        self.log.set_keys(known(keys)?);
        Ok(())
    }

    fn set_distrust(&self, distrust: bool) {
        self.log.set_distrust(distrust);
    }

    fn tag(&self, document: &[u8]) -> PyResult<Vec<u8>> {
        let mac = self.log.tag(document).map_err(|error| exception(&error))?;
        Ok(mac.to_vec())
    }

    #[pyo3(signature = (document, tag, *, retired=false))]
    fn tagged(&self, document: &[u8], tag: &[u8], retired: bool) -> bool {
        let believed = if retired { usize::MAX } else { 1 };
        self.log.tagged(document, tag, believed)
    }

    #[pyo3(signature = (sequence, digest, mac))]
    fn made(&self, sequence: u64, digest: &str, mac: Option<&str>) -> bool {
        let (Some(head), Ok(mac)) = (
            audit::unhex_hash(digest),
            mac.map(|mac| audit::unhex_mac(mac).ok_or(())).transpose(),
        ) else {
            return false;
        };
        self.log.made(Position { head, sequence }, mac.as_ref())
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.log.reach().position.sequence
    }

    #[getter]
    fn head(&self) -> String {
        audit::hex(&self.log.reach().position.head)
    }
}
