"""An open data folder, and its background work."""
