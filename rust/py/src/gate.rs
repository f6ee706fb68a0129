//! The gate and its types.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};
use vaultcore_core::firewall::{DefaultAction, Firewall};
use vaultcore_core::gate::{self, VaultRules};
use vaultcore_core::name::{ObjectName, RULE};
use vaultcore_core::operation::{self, Refusal, Verb};
use vaultcore_core::policy::{Grant, Permissions, Policies};
use vaultcore_core::{principal, Error};

use crate::error::to_python;

mod python {
    pyo3::import_exception!(vaultcore.errors, BadParameterError);
    pyo3::import_exception!(vaultcore.errors, MethodNotAllowedError);
    pyo3::import_exception!(vaultcore.errors, NotFoundError);
}

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct Principal {
    inner: Arc<principal::Principal>,
}

impl Principal {
    pub(crate) fn inner(&self) -> &principal::Principal {
        &self.inner
    }
}

#[pymethods]
impl Principal {
    #[new]
    #[pyo3(
        signature = (
            *, object_id, app_id=String::new(), tenant_id=String::new(), issuer=String::new(),
            groups=Vec::new(), name=String::new(),
        ),
        text_signature = "(*, object_id, app_id='', tenant_id='', issuer='', groups=(), name='')",
    )]
    fn new(
        object_id: String,
        app_id: String,
        tenant_id: String,
        issuer: String,
        groups: Vec<String>,
        name: String,
    ) -> Self {
        let inner = principal::Principal {
            app_id,
            groups,
            issuer,
            name,
            object_id,
            tenant_id,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    #[getter]
    fn object_id(&self) -> &str {
        &self.inner.object_id
    }

    #[getter]
    fn app_id(&self) -> &str {
        &self.inner.app_id
    }

    #[getter]
    fn tenant_id(&self) -> &str {
        &self.inner.tenant_id
    }

    #[getter]
    fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    #[getter]
    fn groups<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        pyo3::types::PyTuple::new(py, &self.inner.groups)
    }

    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().inner == self.inner)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.inner.object_id.hash(&mut hasher);
        self.inner.app_id.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!(
            "Principal(object_id={:?}, app_id={:?}, tenant_id={:?}, name={:?})",
            self.inner.object_id, self.inner.app_id, self.inner.tenant_id, self.inner.name
        )
    }
}

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct Operation {
    inner: operation::Operation,
}

/// The names of the verbs, created once: every request reads them.
struct VerbNames {
    kind: Py<PyString>,
    name: Py<PyString>,
    permission: Py<PyString>,
}

static VERB_NAMES: PyOnceLock<Vec<VerbNames>> = PyOnceLock::new();

fn verb_names(py: Python<'_>, verb: Verb) -> Option<&'static VerbNames> {
    let names = VERB_NAMES.get_or_init(py, || {
        let interned = |text: &str| PyString::intern(py, text).unbind();
        Verb::EVERY
            .iter()
            .map(|verb| VerbNames {
                kind: interned(verb.kind().name()),
                name: interned(verb.name()),
                permission: interned(verb.permissions().first().map_or("", |first| first.name())),
            })
            .collect()
    });
    names.get(verb as usize)
}

#[pymethods]
impl Operation {
    #[getter]
    fn name(&self, py: Python<'_>) -> Option<&'static Py<PyString>> {
        verb_names(py, self.inner.verb).map(|names| &names.name)
    }

    #[getter]
    fn kind(&self, py: Python<'_>) -> Option<&'static Py<PyString>> {
        verb_names(py, self.inner.verb).map(|names| &names.kind)
    }

    #[getter]
    fn permission(&self, py: Python<'_>) -> Option<&'static Py<PyString>> {
        verb_names(py, self.inner.verb).map(|names| &names.permission)
    }

    #[getter]
    fn object_name(&self) -> &str {
        self.inner.object.as_ref().map_or("", ObjectName::as_str)
    }

    #[getter]
    fn object_path(&self) -> String {
        let Some(object) = &self.inner.object else {
            return String::new();
        };
        let mut path = String::with_capacity(180);
        for part in [
            self.inner.verb.kind().name(),
            object.as_str(),
            &self.inner.version,
        ] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(part);
            }
        }
        path
    }

    #[getter]
    fn canonical_name(&self) -> &str {
        self.inner.object.as_ref().map_or("", ObjectName::key)
    }

    #[getter]
    fn version(&self) -> &str {
        &self.inner.version
    }

    #[getter]
    fn api_version(&self) -> &str {
        self.inner.api_version
    }

    #[getter]
    fn max_results(&self) -> u8 {
        self.inner.max_results
    }

    #[getter]
    fn max_results_given(&self) -> bool {
        self.inner.max_results_given
    }

    #[getter]
    fn skip_token(&self) -> &str {
        &self.inner.skip_token
    }

    #[getter]
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let extra = PyDict::new(py);
        for (name, value) in &self.inner.extra {
            extra.set_item(name, value)?;
        }
        Ok(extra)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().inner == self.inner)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.inner.verb as usize).hash(&mut hasher);
        self.canonical_name().hash(&mut hasher);
        self.inner.version.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!(
            "Operation({:?}, object_name={:?}, version={:?})",
            self.inner.verb.name(),
            self.object_name(),
            self.inner.version
        )
    }
}

type RefusalTuple = (u16, &'static str, String, Option<&'static str>);

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct Admission {
    #[pyo3(get)]
    outcome: u8,
    #[pyo3(get)]
    operation: Option<Py<Operation>>,
    #[pyo3(get)]
    principal: Option<Py<Principal>>,
    refusal: Option<Refusal>,
    verb: Option<Verb>,
}

impl Admission {
    fn make(py: Python<'_>, admission: gate::Admission) -> PyResult<Self> {
        let verb = match (&admission.operation, &admission.refusal) {
            (Some(operation), _) => Some(operation.verb),
            (None, refusal) => refusal.as_ref().and_then(|refusal| refusal.verb),
        };
        let operation = match admission.operation {
            Some(inner) => Some(Py::new(py, Operation { inner })?),
            None => None,
        };
        let principal = match admission.principal {
            Some(inner) => Some(Py::new(py, Principal { inner })?),
            None => None,
        };
        let outcome = admission.outcome as u8;
        Ok(Self {
            outcome,
            operation,
            principal,
            refusal: admission.refusal,
            verb,
        })
    }
}

#[pymethods]
impl Admission {
    #[getter]
    fn asked(&self, py: Python<'_>) -> Option<&'static Py<PyString>> {
        verb_names(py, self.verb?).map(|names| &names.name)
    }

    #[getter]
    fn refusal(&self) -> Option<RefusalTuple> {
        let refusal = self.refusal.as_ref()?;
        Some((
            refusal.status,
            refusal.code,
            refusal.message.clone(),
            refusal.inner,
        ))
    }

    fn __repr__(&self) -> String {
        format!("Admission(outcome={})", self.outcome)
    }
}

#[pyclass(frozen, module = "vaultcore._core")]
pub(crate) struct Gate {
    inner: Mutex<gate::Gate>,
}

impl Gate {
    // Nothing is done under this lock that could wait for the interpreter lock.
    fn lock(&self) -> MutexGuard<'_, gate::Gate> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(
        &self,
        vault: &str,
        parsed: Result<operation::Operation, Refusal>,
        principal: &Bound<'_, Principal>,
        address: Option<&str>,
    ) -> PyResult<Admission> {
        let asked = gate::Asked {
            address,
            parsed,
            vault,
        };
        let caller = Arc::clone(&principal.get().inner);
        let mut admission = self.lock().authorize(asked, caller);
        // The caller's own object, instead of a new one of the same content.
        admission.principal = None;
        let mut made = Admission::make(principal.py(), admission)?;
        made.principal = Some(principal.clone().unbind());
        Ok(made)
    }
}

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Self {
        Self {
            inner: Mutex::new(gate::Gate::new()),
        }
    }

    #[pyo3(
        signature = (
            name, *, location="local", default_action="Allow", ranges=Vec::new(),
            policies=Vec::new(),
        ),
        text_signature = "($self, name, *, location='local', default_action='Allow', ranges=(), \
                          policies=())",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "converted from Python")]
    fn set_vault(
        &self,
        name: &str,
        location: &str,
        default_action: &str,
        ranges: Vec<String>,
        policies: Vec<(String, String, Vec<String>)>,
    ) -> PyResult<()> {
        let default = DefaultAction::parse(default_action).map_err(to_python)?;
        let firewall = Firewall::compile(default, ranges.iter().map(String::as_str));
        let mut grants = Vec::with_capacity(policies.len());
        for (object_id, app_id, names) in policies {
            let mut permissions = Permissions::NONE;
            for name in names {
                permissions = permissions.union(parse_permission(&name)?);
            }
            grants.push(Grant {
                app_id,
                object_id,
                permissions,
            });
        }
        let rules = VaultRules {
            firewall: firewall.map_err(to_python)?,
            location: location.to_owned(),
            policies: Policies::compile(grants),
        };
        self.lock().set_vault(name, rules);
        Ok(())
    }

    fn remove_vault(&self, name: &str) {
        self.lock().remove_vault(name);
    }

    fn remember(
        &self,
        token: &Bound<'_, PyAny>,
        principal: &Bound<'_, Principal>,
        expires: f64,
        not_before: f64,
    ) -> PyResult<()> {
        let token = raw(token)?;
        let principal = Arc::clone(&principal.get().inner);
        self.lock()
            .remember(&token, principal, expires, not_before)
            .map_err(to_python)
    }

    fn forget_tokens(&self) {
        self.lock().forget_tokens();
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    fn admit(
        &self,
        vault: &str,
        method: &str,
        raw_path: &Bound<'_, PyAny>,
        query: &Bound<'_, PyAny>,
        address: &str,
        authorization: Option<&Bound<'_, PyAny>>,
        now: f64,
    ) -> PyResult<Admission> {
        let authorization = authorization.map(raw).transpose()?;
        let request = gate::Request {
            address,
            authorization: authorization.as_deref(),
            method,
            now,
            path: &raw(raw_path)?,
            query: &raw(query)?,
            vault,
        };
        let admission = self.lock().admit(&request);
        Admission::make(raw_path.py(), admission)
    }

    #[pyo3(
        signature = (vault, verb, principal, object_name=None, version=None, *, address=None),
        text_signature = "($self, vault, verb, principal, object_name='', version='', *, \
                          address=None)",
    )]
    fn authorize(
        &self,
        vault: &str,
        verb: &str,
        principal: &Bound<'_, Principal>,
        object_name: Option<&Bound<'_, PyString>>,
        version: Option<&Bound<'_, PyString>>,
        address: Option<&str>,
    ) -> PyResult<Admission> {
        let object_name = object_name.map(text).unwrap_or_default();
        let version = version.map(text).unwrap_or_default();
        let parsed = operation::named(parse_verb(verb)?, &object_name, &version);
        self.decide(vault, parsed, principal, address)
    }

    #[pyo3(signature = (vault, method, raw_path, query, principal, *, address=None))]
    fn authorize_request(
        &self,
        vault: &str,
        method: &str,
        raw_path: &Bound<'_, PyAny>,
        query: &Bound<'_, PyAny>,
        principal: &Bound<'_, Principal>,
        address: Option<&str>,
    ) -> PyResult<Admission> {
        let parsed = operation::parse(method, &raw(raw_path)?, &raw(query)?);
        self.decide(vault, parsed, principal, address)
    }

    fn permitted(
        &self,
        vault: &str,
        principal: &Bound<'_, Principal>,
        permission: &str,
    ) -> PyResult<bool> {
        let permission = parse_permission(permission)?;
        Ok(self
            .lock()
            .permitted(vault, &principal.get().inner, permission))
    }

    fn address_allowed(&self, vault: &str, address: &str) -> bool {
        self.lock().address_allowed(vault, address)
    }
}

#[pyfunction]
pub(crate) fn parse_operation(
    method: &str,
    raw_path: &Bound<'_, PyAny>,
    query: &Bound<'_, PyAny>,
) -> PyResult<Operation> {
    match operation::parse(method, &raw(raw_path)?, &raw(query)?) {
        Ok(inner) => Ok(Operation { inner }),
        Err(Refusal {
            status: 404,
            message,
            ..
        }) => Err(python::NotFoundError::new_err(message)),
        Err(Refusal {
            status: 405,
            message,
            ..
        }) => Err(python::MethodNotAllowedError::new_err(message)),
        Err(Refusal { message, .. }) => Err(python::BadParameterError::new_err(message)),
    }
}

#[pyfunction]
pub(crate) fn object_name(text: &str) -> PyResult<(String, String)> {
    let name = parse_name(text)?;
    Ok((name.as_str().to_owned(), name.key().to_owned()))
}

#[pyfunction]
pub(crate) fn bearer_token<'py>(
    authorization: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let header = raw(authorization)?;
    let token = gate::bearer_token(&header).and_then(|token| std::str::from_utf8(token).ok());
    Ok(token.map(|token| PyString::new(authorization.py(), token)))
}

#[pyfunction]
pub(crate) fn api_versions() -> Vec<&'static str> {
    operation::API_VERSIONS.to_vec()
}

#[pyfunction]
pub(crate) fn permission_names() -> Vec<&'static str> {
    vaultcore_core::policy::Permission::EVERY
        .iter()
        .map(|permission| permission.name())
        .collect()
}

#[pyfunction]
pub(crate) fn operation_names() -> Vec<&'static str> {
    Verb::EVERY.iter().map(|verb| verb.name()).collect()
}

fn parse_verb(name: &str) -> PyResult<Verb> {
    Verb::named(name).ok_or_else(|| {
        to_python(Error::Usage(
            "there is no operation of this name; use the names of the audit".to_owned(),
        ))
    })
}

fn parse_name(text: &str) -> PyResult<ObjectName> {
    ObjectName::parse(text.as_bytes()).ok_or_else(|| to_python(Error::Usage(RULE.to_owned())))
}

fn parse_permission(name: &str) -> PyResult<Permissions> {
    Permissions::parse(name).ok_or_else(|| {
        to_python(Error::Usage(
            "there is no such permission: write it as secrets/get".to_owned(),
        ))
    })
}

/// The bytes of a path, a query or a header, which frameworks pass as bytes or as text.
///
/// What is not Unicode becomes the replacement character, which no name and no token contains.
fn raw<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    let found = value
        .cast::<PyString>()
        .map_err(|_| PyTypeError::new_err("expected str or bytes"))?;
    Ok(text(found))
}

/// The bytes of a text, with the replacement character for what is no Unicode.
fn text<'a>(value: &'a Bound<'_, PyString>) -> Cow<'a, [u8]> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(text.as_bytes()),
        Err(_) => Cow::Owned(value.to_string_lossy().into_owned().into_bytes()),
    }
}
