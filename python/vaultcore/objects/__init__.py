"""Secrets and keys: what each is, its rules, and what is kept of it in memory."""
