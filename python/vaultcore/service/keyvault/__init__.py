"""The data plane: the Azure Key Vault REST API (contract sections 1 and 2)."""
