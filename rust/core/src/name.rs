//! Names of objects.
