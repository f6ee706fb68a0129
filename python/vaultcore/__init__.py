"""A vault for secrets and keys, as a library: envelopes, keys, and the engine of the service."""
