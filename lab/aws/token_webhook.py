"""kube-apiserver's token webhook for tokens of `aws eks get-token`.

Such a token is a presigned `sts:GetCallerIdentity`. It is sent to the lab's STS, as EKS sends it to AWS's;
the resulting identity gets the permissions of its access entries in the lab's EKS clusters. moto does not
check signatures, so tokens can be forged: for the lab only.

`python -m lab.aws.token_webhook --endpoint-file FILE --url-file FILE`: on the loopback of its network only.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import urllib.parse
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3

from lab.aws import CREDENTIALS, REGION
from lab.aws.listening import announce, announced

_LOOPBACK = "127.0.0.1"
_PREFIX = "k8s-aws-v1."
_MAX_BYTES = 64 * 1024
_STS_ACTION = ("GetCallerIdentity", "2011-06-15")
_CLUSTER_ADMIN = "AmazonEKSClusterAdminPolicy"


class NotAcceptedError(Exception):
    """An invalid token, or one of an identity without access entry; the reason is for the API server's log."""


class Directory:
    """Authenticates tokens by the lab's STS and EKS."""

    def __init__(self, endpoint: str, region: str = REGION) -> None:
        self._endpoint = endpoint
        self._eks = boto3.client(
            "eks",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def review(self, token: str) -> dict[str, Any]:
        """Return the user in Kubernetes' form. Raises NotAcceptedError."""
        arn = _principal(self._caller(_presigned(token)))
        user = ""
        groups: set[str] = set()
        for cluster in self._eks.list_clusters()["clusters"]:
            if arn in self._eks.list_access_entries(clusterName=cluster)["accessEntries"]:
                name, more = self._entry(cluster, arn)
                user, groups = user or name, groups | more
        if not user:
            raise NotAcceptedError(f"{arn} has no access entry in any EKS cluster of the lab")
        return {"username": user, "uid": arn, "groups": sorted(groups), "extra": {"arn": [arn]}}

    def _entry(self, cluster: str, arn: str) -> tuple[str, set[str]]:
        entry = self._eks.describe_access_entry(clusterName=cluster, principalArn=arn)["accessEntry"]
        told = self._eks.list_associated_access_policies(clusterName=cluster, principalArn=arn)
        groups = set(entry["kubernetesGroups"])
        for each in told["associatedAccessPolicies"]:
            groups |= _groups(each["policyArn"].rpartition("/")[2], each["accessScope"])
        return entry["username"], groups

    def _caller(self, query: dict[str, str]) -> str:
        """Send the presigned request to the lab's STS, as a POST: moto reads the caller only from a header."""
        key = query.get("X-Amz-Credential", "")
        request = urllib.request.Request(  # noqa: S310 the lab's own http
            self._endpoint,
            data=urllib.parse.urlencode({"Action": _STS_ACTION[0], "Version": _STS_ACTION[1]}).encode(),
            headers={
                "Authorization": f"AWS4-HMAC-SHA256 Credential={key}, SignedHeaders=host, Signature=lab",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 the lab's own http
                text = answer.read().decode()
        except OSError as error:
            raise NotAcceptedError(f"the lab's STS does not answer: {error}") from None
        found = re.search(r"<Arn>([^<]+)</Arn>", text)
        if not found:
            raise NotAcceptedError("the lab's STS does not know the caller")
        return found[1]


def _presigned(token: str) -> dict[str, str]:
    """Return the parameters of the presigned URL in a token; its host is ignored."""
    if not token.startswith(_PREFIX):
        raise NotAcceptedError(f"not a token of aws eks get-token: it does not begin with {_PREFIX}")
    coded = token.removeprefix(_PREFIX)
    try:
        url = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode("ascii")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, strict_parsing=True))
    except (binascii.Error, ValueError):
        raise NotAcceptedError("not a token of aws eks get-token: no URL in it") from None
    if query.get("Action") != _STS_ACTION[0] or "x-k8s-aws-id" not in query.get("X-Amz-SignedHeaders", ""):
        raise NotAcceptedError("the token is not a presigned GetCallerIdentity request for a cluster")
    return query


def _principal(arn: str) -> str:
    """Return the ARN used in access entries: the role's, for a session of one."""
    kind, _, rest = arn.partition(":assumed-role/")
    return f"{kind.replace(':sts:', ':iam:')}:role/{rest.split('/')[0]}" if rest else arn


def _groups(policy: str, scope: dict[str, Any]) -> set[str]:
    """Return the groups for an access policy; all but the administrator's need a role binding."""
    if scope["type"] != "cluster":
        return {f"lab:{policy}:{namespace}" for namespace in scope["namespaces"]}
    return {"system:masters"} if policy == _CLUSTER_ADMIN else {f"lab:{policy}"}


class Handler(BaseHTTPRequestHandler):
    """One TokenReview in, the same with its status out."""

    directory: ClassVar[Directory]

    def do_POST(self) -> None:
        """Review the token in the request."""
        try:
            length = min(int(self.headers.get("Content-Length", 0)), _MAX_BYTES)
            review = json.loads(self.rfile.read(length))
            token = str(review["spec"]["token"])
        except (ValueError, KeyError, TypeError):
            self.send_error(HTTPStatus.BAD_REQUEST, "not a TokenReview")
            return
        try:
            status: dict[str, Any] = {"authenticated": True, "user": self.directory.review(token)}
        except NotAcceptedError as error:
            status = {"authenticated": False, "error": str(error)}
        told = json.dumps(
            {"apiVersion": review.get("apiVersion"), "kind": "TokenReview", "status": status}
        ).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 http.server's name
        """Log nothing: tokens must not get into a log."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--endpoint-file", type=Path, required=True, help="file with the AWS API's URL")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--url-file", type=Path, required=True, help="where to write the URL")
    arguments = parser.parse_args()
    Handler.directory = Directory(announced(arguments.endpoint_file))
    server = ThreadingHTTPServer((_LOOPBACK, arguments.port), Handler)
    announce(arguments.url_file, _LOOPBACK, server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
