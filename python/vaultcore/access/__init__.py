"""Identifies callers: tokens of trusted issuers, and the built-in issuer."""
