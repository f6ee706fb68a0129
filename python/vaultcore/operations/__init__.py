"""The operations of the data plane, each described once: what it does, whatever it came by."""
