"""The status page of a server: what was served when and why, traffic, drift. Pure; HTML and SVG, without scripts."""
