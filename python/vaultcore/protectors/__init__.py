"""Protectors: what keeps the outermost keys of a vault where its database is not.

This file imports nothing: the HSM worker starts through it, and shall start fast.
"""
