"""The service beside OpenBao: the same load generator, the same connections, audit on in both."""
