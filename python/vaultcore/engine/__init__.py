"""A data folder, open, and what keeps it going."""
