"""The migrations of the store, run by ``vaultcore.storage.migrate``."""
