"""The code of a worker process: python-pkcs11, one thread, one session with one token.

Nothing outside this package imports it; the service starts ``worker.main`` as a process.
"""
