"""The development vault of `vaultcore dev`, for one machine."""
