"""The library's objects: secrets and keys behind the gate."""
