"""Second implementations, by which the first are checked."""
