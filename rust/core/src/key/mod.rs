//! Keys: one file for each family.
