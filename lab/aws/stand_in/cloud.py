"""The AWS API of a configured provider: the lab's, never AWS itself."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from lab.aws import ACCOUNT, CREDENTIALS, REGION
from lab.aws.stand_in import RefusedError, sdk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OWN = ("version", "pluginDownloadURL")
"""Settings common to all providers, which are not in the SDK's class."""
_ALIASES = {"logs": "cloudwatchlogs"}
"""Services with another endpoint name in Terraform."""
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3},
    connect_timeout=5,
    read_timeout=60,
    s3={"addressing_style": "path"},
    # Tests run many providers side by side: botocore's own pools are per client.
    max_pool_connections=20,
)


class Cloud:
    """Clients of the API in one region, by the settings of the provider. Thread-safe."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.region = settings.get("region") or os.environ.get("AWS_REGION") or REGION
        self.default_tags: dict[str, str] = (settings.get("defaultTags") or {}).get("tags") or {}
        self.account = ACCOUNT
        self._settings = settings
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}
        self._regions: dict[str, Cloud] = {}
        self._session = boto3.session.Session(
            aws_access_key_id=settings.get("accessKey") or CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings.get("secretKey") or CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def client(self, service: str) -> Any:
        """Return boto3's client of a service. Raises RefusedError if no endpoint is set for it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service, region_name=self.region, endpoint_url=self._endpoint(service), config=_CONFIG
                )
            return self._clients[service]

    def in_region(self, region: str) -> Cloud:
        """Return the same for another region, which a resource may set; empty for this one."""
        if not region or region == self.region:
            return self
        with self._lock:
            if region not in self._regions:
                self._regions[region] = Cloud({**self._settings, "region": region})
            return self._regions[region]

    def _endpoint(self, service: str) -> str:
        names = (service, _ALIASES.get(service, service))
        listed = [
            entry[name] for entry in self._settings.get("endpoints") or [] for name in names if name in entry
        ]
        url = next(iter(listed), os.environ.get("AWS_ENDPOINT_URL", ""))
        host = urllib.parse.urlsplit(url).hostname or ""
        if not host or host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".aws", ".api.aws")):
            raise RefusedError(
                f"no lab endpoint for {service}: the stand-in never calls AWS; bring the lab up and "
                "set aws:endpoints or AWS_ENDPOINT_URL, or install the real provider plugin"
            )
        return url


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provider's settings with their types: the wire has each as JSON in a string."""
    kinds = sdk.members(sdk.provider_type())
    made = {}
    for name, value in given.items():
        if name in _OWN:
            continue
        if isinstance(value, str) and kinds.get(name, str) is not str:
            with contextlib.suppress(ValueError):  # a wrong type is reported as a fault
                value = json.loads(value)
        made[name] = value
    return made


def setting_faults(given: Mapping[str, Any]) -> Iterator[sdk.Fault]:
    """Yield faults of the provider's settings."""
    yield from sdk.faults(sdk.provider_type(), settings(given))
