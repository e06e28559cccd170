"""Training: a loop of our own in plain torch that resumes bit for bit from wherever it was killed."""
