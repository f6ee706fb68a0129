"""The HTTP service: the data plane, the issuer, the management plane, and their processes."""
