//! The files of the audit log: one chain of records, which several processes append to.
//!
//! What a record is, and how records are chained, is in the core. Here they get onto the disk, and
//! what is found there is read back. [`AuditLog`] is the door; the clock, and everything else that
//! the log needs from outside, is given to it by a [`Caller`].

mod failure;
mod log;
mod place;
mod reserve;
mod segment;
mod shared;
mod trust;

pub use failure::{Failure, Result};
pub use log::Signed;
pub use place::MAX_KEPT;
pub use segment::Reach;
pub use shared::{AuditLog, Caller, SEGMENT_SIZE};
pub use trust::{Known, Trust};
