//! Parses method, path and query into a typed operation.
//!
//! This is the one parser of requests: policy, storage and audit use its result. The rules:
//!
//! - Literal segments (`secrets`, `restore`, `versions`, ...) compare without case, as names do,
//!   and win over names and versions.
//! - One slash at the end, and a second one at the start, are ignored. An empty segment means the
//!   current version if an operation follows it (`/keys/a//encrypt`). No other empty
//!   segment is accepted, and nothing is decoded or normalised: a name with `%`, `.` or `..` in
//!   it is not a name.
//! - Names and values of the query are percent-decoded; a parameter that is known here must not
//!   occur twice; others are ignored.
//!
//! Refusals come in this order: unknown route (404), wrong method (405), object name, version,
//! query (400). They never repeat any input.

mod query;
mod routes;
#[cfg(test)]
mod tests;
mod verb;

pub use verb::{Kind, Verb};

use crate::name::{self, parse_version, ObjectName};
use query::Parameters;
use routes::route;

/// The size of a page, and the largest one (contract section 1.0).
pub const MAX_RESULTS: u8 = 25;

/// The latest stable version of the API.
pub const LATEST: &str = "2026-04-01";

/// The versions of the API, oldest first (contract section 0.2).
pub const API_VERSIONS: &[&str] = &[
    "2015-06-01",
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6-preview.1",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-01-01-preview",
    "2026-03-01-preview",
    LATEST,
    "2026-05-01-preview",
    "2026-07-01-preview",
];

/// A parsed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The version of the API in the request.
    pub api_version: &'static str,
    /// Other parameters of the query that the service knows, decoded.
    pub extra: Vec<(&'static str, String)>,
    /// The largest page that the answer may have.
    pub max_results: u8,
    /// Whether the caller named the size of a page.
    pub max_results_given: bool,
    /// The object that it concerns.
    pub object: Option<ObjectName>,
    /// Where a listing continues, from the last page's link; or the empty string.
    pub skip_token: String,
    /// The operation.
    pub verb: Verb,
    /// The version of the object, canonical; or the empty string for the current one.
    pub version: String,
}

/// Why a request is refused, in the terms of the contract (section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: &'static str,
    /// The code of the inner error.
    pub inner: Option<&'static str>,
    /// What happened and what to do; never any input.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// The operation, if it could be determined; for the audit.
    pub verb: Option<Verb>,
}

impl Refusal {
    fn bad_parameter(message: &str) -> Self {
        Self {
            code: "BadParameter",
            inner: None,
            message: message.to_owned(),
            status: 400,
            verb: None,
        }
    }

    fn about(self, verb: Verb) -> Self {
        Self {
            verb: Some(verb),
            ..self
        }
    }

    fn method() -> Self {
        Self {
            code: "MethodNotAllowed",
            inner: None,
            message: "this path does not support this method".to_owned(),
            status: 405,
            verb: None,
        }
    }

    fn route() -> Self {
        Self {
            code: "NotFound",
            inner: None,
            message: "there is nothing at this path".to_owned(),
            status: 404,
            verb: None,
        }
    }
}

/// Parses a request.
///
/// The path is the undecoded one, the query is what follows the question mark.
pub fn parse(method: &str, path: &[u8], query: &[u8]) -> Result<Operation, Refusal> {
    let target = route(method, path)?;
    let parameters = Parameters::parse(query).map_err(|refusal| refusal.about(target.verb))?;
    if let Some(since) = target.verb.since() {
        if rank(parameters.api_version) < rank(since) {
            let refusal = Refusal::bad_parameter(&format!(
                "this operation needs api-version {since} or a later one"
            ));
            return Err(refusal.about(target.verb));
        }
    }
    Ok(Operation {
        api_version: parameters.api_version,
        extra: parameters.extra,
        max_results: parameters.max_results.unwrap_or(MAX_RESULTS),
        max_results_given: parameters.max_results.is_some(),
        object: target.object,
        skip_token: parameters.skip_token,
        verb: target.verb,
        version: target.version,
    })
}

/// Parses an operation that is named, and not requested by a path, as in process.
pub fn named(verb: Verb, object_name: &[u8], version: &[u8]) -> Result<Operation, Refusal> {
    let refused = |refusal: Refusal| refusal.about(verb);
    let object = if verb.is_about_an_object() {
        Some(parse_object(object_name).map_err(refused)?)
    } else {
        None
    };
    Ok(Operation {
        api_version: "",
        extra: Vec::new(),
        max_results: MAX_RESULTS,
        max_results_given: false,
        object,
        skip_token: String::new(),
        verb,
        version: parse_object_version(version).map_err(refused)?,
    })
}

fn parse_object(name: &[u8]) -> Result<ObjectName, Refusal> {
    ObjectName::parse(name).ok_or_else(|| Refusal::bad_parameter(name::RULE))
}

/// An empty version is the current one.
fn parse_object_version(version: &[u8]) -> Result<String, Refusal> {
    if version.is_empty() {
        return Ok(String::new());
    }
    parse_version(version)
        .ok_or_else(|| Refusal::bad_parameter("a version is 32 hexadecimal digits"))
}

fn rank(api_version: &str) -> Option<usize> {
    API_VERSIONS
        .iter()
        .position(|known| known.eq_ignore_ascii_case(api_version))
}
