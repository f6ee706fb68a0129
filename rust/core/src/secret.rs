//! Bytes that are wiped when they go.
