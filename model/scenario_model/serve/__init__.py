"""Serving: the HTTPS gateway with the OpenAI API, and in `engine` the inference behind it."""
