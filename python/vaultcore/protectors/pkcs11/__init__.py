"""PKCS#11: keys that live in a token, used through worker processes.

What lies here runs in the service process, which never imports python-pkcs11; :mod:`.worker` is
what runs in a worker process. ``messages`` and ``algorithms`` belong to both sides.

This file imports nothing: the worker starts through it, and shall start fast.
"""
