"""Training data: read, validated, deduplicated, split into training and held-out, packed into sequences."""
