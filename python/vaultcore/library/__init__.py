"""What a caller in process holds: secrets and keys behind the gate."""
