//! The file of the audit log.
