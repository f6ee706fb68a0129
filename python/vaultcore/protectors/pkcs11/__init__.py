"""PKCS#11: keys in a token, used through worker processes.

The modules here run in the service process, which never imports python-pkcs11; :mod:`.worker`
runs in a worker process. Both sides use ``messages`` and ``algorithms``.

This file imports nothing: the worker starts through it, and must start fast.
"""
