//! The gate: firewall, token and permission in one step.
