"""A site's agent: takes what the catalogue assigns to it, lets the server serve it, and reports numbers."""
