"""The stored state of an installation: its settings, its vault keys, its vaults."""
