"""The life of a served model: watched, retrained when its traffic drifts, tried as a canary, promoted or dropped."""
