//! What a record tells, and its members up to its place in the chain.

use std::io::Write as _;

use super::value::{push_escaped, push_escaped_upper, push_milliseconds, push_number, Clockface};
use super::REVISION;
use crate::principal::Principal;

/// The most entries of `extra` in one record.
const MAX_EXTRA: usize = 16;

/// A value of the members that an operation adds.
#[derive(Debug, Clone)]
pub enum Extra {
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// One record, before it has a place in the chain.
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    /// The address of the caller.
    pub address: &'a str,
    /// The version of the API that was asked for.
    pub api_version: &'a str,
    /// What the client says it is.
    pub client_info: &'a str,
    /// The client's id of the request.
    pub correlation_id: &'a str,
    /// How long it took.
    pub duration_ms: f64,
    /// What the operation adds.
    pub extra: &'a [(String, Extra)],
    /// The URL of the object.
    pub object_id: &'a str,
    /// The operation's name.
    pub operation: &'a str,
    /// Who asked, if that is known.
    pub principal: Option<&'a Principal>,
    /// The URL that was asked for.
    pub request_uri: &'a str,
    /// More about the result.
    pub result_description: &'a str,
    /// The revision of the store that a change made, if it was one.
    pub revision: Option<u64>,
    /// The HTTP status.
    pub status: u16,
    /// The time, in seconds since the Unix epoch.
    pub time: f64,
    /// The vault.
    pub vault: &'a str,
}

pub(super) fn members(text: &mut Vec<u8>, record: &Record<'_>, clockface: &mut Clockface) {
    text.extend_from_slice(b"{\"time\":\"");
    clockface.push(text, record.time);
    text.extend_from_slice(
        b"\",\"resourceId\":\"/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000\
          /RESOURCEGROUPS/VAULTCORE/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/",
    );
    push_escaped_upper(text, record.vault, 64);
    text.extend_from_slice(b"\",\"operationName\":\"");
    push_escaped(text, record.operation, 64);
    text.extend_from_slice(b"\",\"operationVersion\":\"");
    push_escaped(text, record.api_version, 32);
    text.extend_from_slice(if record.status < 400 {
        b"\",\"category\":\"AuditEvent\",\"resultType\":\"Success\",\"resultSignature\":\""
    } else {
        b"\",\"category\":\"AuditEvent\",\"resultType\":\"Failure\",\"resultSignature\":\""
    });
    text.extend_from_slice(reason(record.status).as_bytes());
    text.extend_from_slice(b"\",\"resultDescription\":\"");
    push_escaped(text, record.result_description, 1024);
    text.extend_from_slice(b"\",\"durationMs\":");
    push_milliseconds(text, record.duration_ms);
    text.extend_from_slice(b",\"callerIpAddress\":\"");
    push_escaped(text, record.address, 64);
    text.extend_from_slice(b"\",\"correlationId\":\"");
    push_escaped(text, record.correlation_id, 128);
    text.extend_from_slice(b"\",\"identity\":{");
    if let Some(principal) = record.principal {
        push_identity(text, principal);
    }
    text.extend_from_slice(b"},\"properties\":{\"clientInfo\":\"");
    push_escaped(text, record.client_info, 512);
    text.extend_from_slice(b"\",\"requestUri\":\"");
    push_escaped(text, record.request_uri, 2048);
    text.extend_from_slice(b"\",\"id\":\"");
    push_escaped(text, record.object_id, 512);
    text.extend_from_slice(b"\",\"httpStatusCode\":");
    push_number(text, record.status.into(), 3);
    if let Some(revision) = record.revision {
        text.extend_from_slice(REVISION);
        push_number(text, revision, 1);
    }
    push_extra(text, record.extra);
    text.push(b'}');
}

fn push_identity(text: &mut Vec<u8>, principal: &Principal) {
    text.extend_from_slice(
        b"\"claim\":{\"http://schemas.microsoft.com/identity/claims/objectidentifier\":\"",
    );
    push_escaped(text, &principal.object_id, 128);
    text.extend_from_slice(b"\",\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn\":\"");
    push_escaped(text, &principal.name, 256);
    text.extend_from_slice(b"\",\"appid\":\"");
    push_escaped(text, &principal.app_id, 128);
    text.extend_from_slice(b"\",\"http://schemas.microsoft.com/identity/claims/tenantid\":\"");
    push_escaped(text, &principal.tenant_id, 128);
    text.extend_from_slice(b"\",\"iss\":\"");
    push_escaped(text, &principal.issuer, 256);
    text.extend_from_slice(b"\"}");
}

fn push_extra(text: &mut Vec<u8>, extra: &[(String, Extra)]) {
    let fixed = [
        "clientInfo",
        "requestUri",
        "id",
        "httpStatusCode",
        "revision",
    ];
    for (index, (name, value)) in extra.iter().enumerate() {
        let repeated = extra.iter().take(index).any(|(before, _)| before == name);
        if index >= MAX_EXTRA || repeated || fixed.contains(&name.as_str()) {
            continue;
        }
        text.extend_from_slice(b",\"");
        push_escaped(text, name, 64);
        text.extend_from_slice(b"\":");
        match value {
            Extra::Flag(true) => text.extend_from_slice(b"true"),
            Extra::Flag(false) => text.extend_from_slice(b"false"),
            Extra::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Extra::Text(value) => {
                text.push(b'"');
                push_escaped(text, value, 512);
                text.push(b'"');
            }
        }
    }
}

/// The reason phrase of a status (RFC 9110 section 15).
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Other",
    }
}
