"""What the tests of the AWS components share."""

from __future__ import annotations

import tests.aws_sdk  # noqa: F401 loads it
