"""Protectors: what keeps the outermost keys of a vault where its database is not.

This file imports nothing: the PKCS#11 worker starts through it, and shall start fast.
"""
