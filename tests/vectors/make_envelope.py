"""Writes envelope.json with the reference implementation. Run it only when the format changes.

python tests/vectors/make_envelope.py > tests/vectors/envelope.json
"""

import hashlib
import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference import envelope as reference

_numbers = count()


def some(size: int) -> bytes:
    """Make bytes that look random and are the same in every run."""
    return hashlib.shake_256(b"vaultcore vectors %d" % next(_numbers)).digest(size)


def tell(value: reference.Value) -> dict[str, Any]:
    """Write a context value with its type, which JSON would lose."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    kinds = {type(None): "null", bool: "bool", int: "int", str: "text"}
    return {kinds[type(value)]: value}


CONTEXTS: list[dict[str, reference.Value]] = [
    {},
    {"table": "orders"},
    {"b": True, "a": False, "n": None, "e": "é", "z": b"\x00\xff"},
    {"i": -1, "j": 0, "k": 2**63 - 1, "l": -(2**63), "é": 1, "z": 2},
]


def main() -> None:
    """Print the vectors."""
    vectors: list[dict[str, Any]] = []
    for suite in (reference.GCM_SIV, reference.AES_KW):
        kek = reference.Kek(some(16), suite, {1: some(32), 2: some(32), 7: some(32)})
        cases = [
            (content, context, size, generation)
            for content in range(4)
            for context, size, generation in (
                (CONTEXTS[0], 0, 1),
                (CONTEXTS[1], 1, 2),
                (CONTEXTS[2], 33, 7),
                (CONTEXTS[3], 100, 7),
            )
        ]
        sizes = (reference.SEGMENT - 1, reference.SEGMENT, reference.SEGMENT + 1)
        cases += [(reference.STREAM, CONTEXTS[1], size, 7) for size in (*sizes, 150_000)]
        for content, context, size, generation in cases:
            random = reference.Randomness(some(32), some(12), some(12))
            plaintext = some(size)
            encoded = reference.encode_context(context)
            blob = reference.seal(
                kek, plaintext, encoded, random, content=content, generation=generation
            )
            vector = {
                "suite": suite,
                "content": content,
                "kek": {
                    "id": kek.id.hex(),
                    "generations": {str(n): key.hex() for n, key in kek.generations.items()},
                },
                "generation": generation,
                "data_key": random.data_key.hex(),
                "payload_nonce": random.payload_nonce.hex(),
                "wrap_nonce": random.wrap_nonce.hex() if suite == reference.GCM_SIV else None,
                "context": {name: tell(value) for name, value in context.items()},
                "encoded_context": encoded.hex(),
            }
            if size <= 100:
                vector |= {"plaintext": plaintext.hex(), "envelope": blob.hex()}
            else:
                # Long ones by digest: the plaintext is so many bytes 0x61.
                blob = reference.seal(
                    kek, b"a" * size, encoded, random, content=content, generation=generation
                )
                vector |= {
                    "plaintext_of_0x61": size,
                    "envelope_size": len(blob),
                    "envelope_sha256": hashlib.sha256(blob).hexdigest(),
                }
            vectors.append(vector)
    json.dump({"format": "docs/envelope.md, version 1", "vectors": vectors}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
