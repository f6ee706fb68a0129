"""Secrets and keys: what each is, its rules, and what is cached of it."""
