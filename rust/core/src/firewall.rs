//! Which addresses may talk to a vault.
