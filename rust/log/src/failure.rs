//! Why the log could not be used.

use std::{fmt, io};

/// Why the log could not be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The log is not in a state to go on from; the text says why.
    Broken(String),
    /// Another process holds the log, and the call was not to wait for it.
    Busy,
    /// A whole record has a MAC of a key that is not known here.
    Foreign,
    /// The log was opened by another process, from which this one was forked.
    Forked,
    /// The operation of the record is one of the log's own.
    Reserved,
    /// The system refused.
    System {
        /// What was being done: a verb whose object is the log.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The log was opened without keys.
    Unkeyed,
}

/// The result of something that is done with the log.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names what was being done when the system refused.
pub(crate) fn doing<T>(doing: &'static str) -> impl FnOnce(io::Error) -> Result<T> {
    move |error| Err(Failure::System { doing, error })
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(formatter, "cannot use the audit log: {why}"),
            Self::Busy => formatter.write_str("cannot use the audit log: another process holds it"),
            Self::Foreign => {
                formatter.write_str("the audit log holds a record whose MAC no known key made")
            }
            Self::Forked => formatter.write_str(
                "this audit log was opened by another process: open it again in this one",
            ),
            Self::Reserved => formatter.write_str("operations named AuditLog... are the log's own"),
            Self::System { doing, error } => {
                write!(formatter, "cannot {doing} the audit log: {error}")
            }
            Self::Unkeyed => formatter.write_str("this log was opened without keys"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}
