//! The pure part of vaultcore: envelopes, keys, and the gate.
//!
//! Nothing here depends on Python, reads a file, opens a socket or reads a clock.

pub mod audit;
pub mod context;
pub mod envelope;
pub mod error;
pub mod firewall;
pub mod gate;
pub mod json;
pub mod kek;
pub mod key;
pub mod name;
pub mod operation;
pub mod policy;
pub mod principal;
pub mod secret;
pub mod stream;

pub use error::{Error, Result};

/// The cryptographic library, and its version.
#[must_use]
pub fn backend() -> &'static str {
    aws_lc_rs::awslc_version()
}
