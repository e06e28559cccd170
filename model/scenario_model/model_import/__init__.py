"""Importing a foundation model, with a trial of what it will be used for: training and serving."""
