"""What a caller in process holds: an engine, its vaults, their secrets and keys."""
