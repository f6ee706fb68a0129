//! Key encryption keys and their generations.
