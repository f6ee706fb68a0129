"""AES-GCM ciphertexts that open under two keys.

GHASH is linear: one free block of ciphertext is enough to make the tags of two keys meet (Dodis,
Grubbs, Ristenpart and Woodage, "Fast message franking", 2018: the invisible salamander).
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_R = 0xE1 << 120


def craft(key: bytes, other_key: bytes, nonce: bytes, associated_data: bytes, seed: bytes) -> bytes:
    """Make a ciphertext with tag that opens under both keys; ``seed`` fills the blocks before."""
    ciphertext = seed + bytes(-len(seed) % 16) + bytes(16)
    padded = associated_data + bytes(-len(associated_data) % 16) + ciphertext
    blocks = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    blocks.append(
        int.from_bytes(struct.pack(">QQ", len(associated_data) * 8, len(ciphertext) * 8), "big")
    )
    hash_key, mask = _subkeys(key, nonce)
    other_hash_key, other_mask = _subkeys(other_key, nonce)
    difference = _ghash(hash_key, blocks) ^ _ghash(other_hash_key, blocks) ^ mask ^ other_mask
    # The free block is the last but one, so that it counts with the square of the hash key.
    weight = _multiply(hash_key, hash_key) ^ _multiply(other_hash_key, other_hash_key)
    blocks[-2] = _multiply(difference, _inverse(weight))
    tag = _ghash(hash_key, blocks) ^ mask
    return ciphertext[:-16] + blocks[-2].to_bytes(16, "big") + tag.to_bytes(16, "big")


def _subkeys(key: bytes, nonce: bytes) -> tuple[int, int]:
    # One block at a time is what GCM is made of.
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305
    both = encryptor.update(bytes(16) + nonce + b"\0\0\0\1")
    return int.from_bytes(both[:16], "big"), int.from_bytes(both[16:], "big")


def _ghash(hash_key: int, blocks: list[int]) -> int:
    state = 0
    for block in blocks:
        state = _multiply(state ^ block, hash_key)
    return state


def _multiply(left: int, right: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_R if right & 1 else 0)
    return product


def _inverse(value: int) -> int:
    # By Fermat: the power 2^128 - 2.
    result, square = 1 << 127, value
    for _ in range(127):
        square = _multiply(square, square)
        result = _multiply(result, square)
    return result
