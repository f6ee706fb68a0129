"""The audit: who did what, in records that cannot be changed unnoticed.

``log`` writes, ``checkpoints`` signs, ``verifier`` checks without trusting either, and ``query``
reads. The format is described in ``docs/audit.md``.
"""
