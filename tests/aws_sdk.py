"""Pulumi's SDK for AWS, loaded before a test that counts warnings as errors."""

from __future__ import annotations

import importlib
import warnings

# It warns of deprecated types in each of its packages when that is first named; a program ignores it.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    for _package in ("budgets", "cloudwatch", "ec2", "ecr", "eks", "iam", "kms", "s3", "vpc"):
        importlib.import_module(f"pulumi_aws.{_package}")._utilities  # noqa: B018 loads what is put off
