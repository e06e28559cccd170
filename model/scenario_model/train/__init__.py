"""Training: our own loop in plain torch that resumes bit for bit wherever it was killed."""
