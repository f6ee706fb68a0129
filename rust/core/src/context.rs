//! The canonical encoding of a context.
