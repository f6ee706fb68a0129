"""The rows of the table, and what each is held to."""

from __future__ import annotations

from benches.library.envelopes import AWS, BY_HAND, TINK

SEAL = "seal 1 KiB, one call"
SEAL_BATCH = "seal 1 KiB in a batch of 100, each"
OPEN = "open 1 KiB, one call"
OPEN_BATCH = "open 1 KiB in a batch of 100, each"
THREADS = "seal 1 KiB in batches of 100 on two threads, each"
STREAM = "seal a stream of 1 GiB"
CURVE = "cost by size"
ES256, RS256, EDDSA = "ES256, sign", "RS256 of 2048 bits, sign", "EdDSA of 1 KiB, sign"
ES256_BATCH = "ES256, sign in a batch of 100, each"
VERIFY_ES256, VERIFY_RS256 = "ES256, verify", "RS256 of 2048 bits, verify"
JWS_ES256, JWS_RS256 = "JWS with ES256, sign", "JWS with RS256, sign"

RAW_UPDATE = "cryptography, AES-256-GCM alone, `update`"
RAW_INTO = "cryptography, AES-256-GCM alone, `update_into`"
ONE_THREAD, TWO_THREADS = "one thread", "two threads"
TWO_PROCESSES = "two processes"
CRYPTOGRAPHY = "cryptography"
JOSERFC = "joserfc"

#: Of a row, ours against a peer: how many times as fast we mean to be.
GOALS: dict[tuple[str, str], float] = {
    (SEAL, BY_HAND): 3.0,
    (SEAL, TINK): 8.0,
    (SEAL, AWS): 600.0,
    (SEAL_BATCH, BY_HAND): 5.0,
    (OPEN, BY_HAND): 3.0,
    (OPEN_BATCH, BY_HAND): 5.0,
    (ES256, CRYPTOGRAPHY): 1.4,
    (RS256, CRYPTOGRAPHY): 1.0,
    (THREADS, ONE_THREAD): 1.95,
    (STREAM, RAW_UPDATE): 0.9,
    (STREAM, RAW_INTO): 0.9,
}
