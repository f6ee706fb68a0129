"""The built-in issuer over HTTPS: token endpoint, discovery and keys, for Azure clients."""
