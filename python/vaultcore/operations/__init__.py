"""The operations of the data plane, each described once, for every interface."""
