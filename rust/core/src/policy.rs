//! Permissions and access policies, compiled.
