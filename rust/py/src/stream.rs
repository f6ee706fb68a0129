//! The streaming form of the envelope.
