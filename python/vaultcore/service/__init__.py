"""The HTTP service: the data plane, the issuer and what surrounds them."""
