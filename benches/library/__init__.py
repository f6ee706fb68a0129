"""The library beside others that do the same work."""
