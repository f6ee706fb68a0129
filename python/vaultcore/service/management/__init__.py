"""The management plane over HTTPS."""
