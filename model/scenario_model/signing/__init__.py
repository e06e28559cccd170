"""Keys, signatures, and hashed directory trees. Callers decide what to sign."""
