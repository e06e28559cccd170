"""What a server has seen of drift, in a signed file that a person may carry to where models are trained."""
