//! The gate and what it is told.
