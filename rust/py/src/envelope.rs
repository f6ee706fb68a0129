//! Key encryption keys and envelopes.
