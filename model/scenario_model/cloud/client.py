"""boto3 clients with a region, TLS and bounded retries, and AWS's errors as one line each."""

from __future__ import annotations

import ipaddress
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scenario_model.errors import InputError, ScenarioModelError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN_HTTP = "SCENARIO_MODEL_PLAIN_HTTP"
"""Environment variable: the only host, besides this machine, that may be used without TLS."""

_ATTEMPTS = 5
_CONNECT_SECONDS, _READ_SECONDS = 10, 60

_NOT_ACCEPTED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"403", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden"}
_ELSEWHERE = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
}
_BUSY = {
    "ConditionalRequestConflict",
    "InternalError",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}


def client(service: str) -> Any:
    """A client for `service` ("s3", "kms"), in the region of the environment.

    Raises InputError without boto3, without a region, or for an endpoint without TLS.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise InputError(
            "boto3 is not installed", where=service, remedy="pip install 'scenario-model[aws]'"
        ) from None
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=16,
        tcp_keepalive=True,
    )
    with aws_errors(service):
        session = boto3.session.Session()
        # boto3 itself reads only AWS_DEFAULT_REGION; pods get AWS_REGION.
        region = os.environ.get("AWS_REGION") or session.region_name
        if not region:
            raise InputError(
                "no AWS region is set", where=service, remedy="set AWS_REGION to the bucket's region"
            )
        made = session.client(service, region_name=region, config=config)
    check_transport(made.meta.endpoint_url)
    return made


def check_transport(url: str) -> None:
    """Refuse an endpoint without TLS, unless it is this machine or the host in `PLAIN_HTTP`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or _is_this_machine(host):
        return
    if host and host == os.environ.get(PLAIN_HTTP):
        return
    raise InputError(
        "an endpoint without TLS, which would expose weights and credentials",
        where=url,
        remedy=f"use https://, or in a lab set {PLAIN_HTTP} to the host",
    )


@contextmanager
def aws_errors(where: str) -> Iterator[None]:
    """Turn boto3's errors into one line that begins with `where`: InputError for what the user has to fix,
    TemporaryError for what may succeed on retry."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(error, where) from None
    except BotoCoreError as error:
        raise _not_answered(error, where) from None
    except Boto3Error as error:  # transfers of whole files, after their own retries
        raise _cut(error, where) from None


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answered(error: Any, where: str) -> ScenarioModelError:
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), _line(told.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    asked = f"{error.operation_name} ({message})" if message else error.operation_name
    if code == "NoSuchBucket":
        return InputError("no such bucket", where=where, remedy="check its name, account and region")
    if code in ("NotFoundException", "DisabledException", "KMSInvalidStateException"):
        remedy = "check its ARN, its state and the region"
        return InputError(f"the key does not exist or cannot be used: {message}", where=where, remedy=remedy)
    if code in _NOT_ACCEPTED:
        remedy = "check `aws sts get-caller-identity`"
        return InputError(f"AWS does not accept the credentials: {code}", where=where, remedy=remedy)
    if code in _ELSEWHERE or status == 301:
        remedy = "set AWS_REGION to the bucket's region"
        return InputError("is in another region", where=where, remedy=remedy)
    if code in _DENIED or status == 403:
        remedy = "allow it in the role's, the bucket's and the KMS key's policies"
        return InputError(f"AWS denies {asked}", where=where, remedy=remedy)
    if code in _BUSY or status >= 500 or status == 429:
        return TemporaryError(f"AWS is busy: {asked}", where=where, remedy="try again")
    return ScenarioModelError(f"AWS answers {code} to {asked}", where=where)


def _not_answered(error: Any, where: str) -> ScenarioModelError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        remedy = "give the pod an identity, or set AWS_PROFILE"
        return InputError("no AWS credentials found", where=where, remedy=remedy)
    if isinstance(error, exceptions.SSLError):
        remedy = "set AWS_CA_BUNDLE if the endpoint has its own CA"
        return InputError(f"TLS failed: {_line(error)}", where=where, remedy=remedy)
    cut = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
    )
    if isinstance(error, cut):
        return _cut(error, where)
    return InputError(_line(error), where=where)


def _cut(error: Exception, where: str) -> TemporaryError:
    what = f"cannot be reached after {_ATTEMPTS} attempts: {_line(error)}"
    return TemporaryError(what, where=where, remedy="check the network and the endpoint, then try again")


def _line(said: object) -> str:
    return " ".join(str(said).split())[:300]
