"""The GPU check: what only a machine with a GPU can show, measured in minutes and without a network."""
