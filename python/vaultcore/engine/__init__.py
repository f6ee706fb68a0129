"""One data folder, open, and its background work."""
