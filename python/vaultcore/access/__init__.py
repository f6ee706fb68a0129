"""Who is calling, from where, and with which grants: tokens, the built-in issuer, firewalls."""
