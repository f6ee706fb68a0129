"""Protectors: they keep the outermost keys of a vault outside its database.

This file imports nothing: the PKCS#11 worker starts through it, and must start fast.
"""
