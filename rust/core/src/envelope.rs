//! The envelope format.
