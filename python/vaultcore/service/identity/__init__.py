"""The built-in issuer over HTTPS: token endpoint, discovery and keys, as Azure clients ask."""
