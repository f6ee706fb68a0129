//! The one error type of the core.

use std::fmt;

/// Why an operation of the core failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The algorithm does not exist, or does not fit this key or this input.
    Algorithm(String),
    /// The backend failed for a reason that the caller did not cause.
    Backend,
    /// Opening, decrypting or unwrapping failed. The error is the same for every reason, on
    /// purpose.
    Decrypt,
    /// A key, or an encoding of one, was refused; the text says why and contains no key material.
    KeyFormat(String),
    /// The caller used the interface wrongly; the text says what to change.
    Usage(String),
}

/// The result of an operation of the core.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm(reason) | Self::KeyFormat(reason) | Self::Usage(reason) => {
                formatter.write_str(reason)
            }
            Self::Backend => formatter.write_str("the cryptographic backend failed"),
            Self::Decrypt => formatter.write_str("the ciphertext could not be opened"),
        }
    }
}

impl std::error::Error for Error {}
