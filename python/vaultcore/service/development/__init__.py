"""What `vaultcore dev` makes for one machine."""
