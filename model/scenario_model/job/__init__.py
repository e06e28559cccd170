"""The Training Application in a cluster: one command from a foundation model to a release in a bucket."""
