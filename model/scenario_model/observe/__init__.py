"""Observation: what a server is asked, window by window, off the request's path; no text is kept unless told so."""
