"""Who a caller is: tokens of trusted issuers, and the issuer that vaultcore brings along."""
