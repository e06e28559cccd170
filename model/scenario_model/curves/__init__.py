"""Curves of a training run: for the status page, TensorBoard and MLflow."""
