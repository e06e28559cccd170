"""The comparison of comments with the engine's log finds what is left out and what is made up."""

from __future__ import annotations

from policies.rule import UNKNOWN
from previews.comment import comment
from tests.previews.faithful import unfaithful
from tests.previews.test_comment import changes, event, verdict

VPC, BUCKET = "aws:ec2/vpc:Vpc", "aws:s3/bucket:Bucket"
EVENTS = [
    event("create", BUCKET, "one", None, {}),
    event("create", BUCKET, "two", None, {}),
    event("update", VPC, "network", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}),
    event("update", VPC, "doubtful", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": UNKNOWN}),
    event("delete", BUCKET, "old", {}, None),
    event("same", VPC, "still", {}, {}),
]


def test_a_comment_of_ours_says_what_the_engine_said() -> None:
    text = comment([verdict(changes(*EVENTS))])
    assert list(unfaithful(EVENTS, text)) == []
    assert "doubtful" not in text, "nothing is known to differ"


def test_what_is_left_out_and_what_is_made_up_is_found() -> None:
    text = comment([verdict(changes(*EVENTS))])
    without = "\n".join(line for line in text.splitlines() if "`old`" not in line or "|" not in line)
    assert list(unfaithful(EVENTS, without)) == ["left out: ('delete', 'aws:s3/bucket:Bucket', 'old')"]
    assert list(unfaithful(EVENTS, text.replace("`two`", "`three`"))) == [
        "made up: ('create', 'aws:s3/bucket:Bucket', 'three')",
        "left out: ('create', 'aws:s3/bucket:Bucket', 'two')",
    ]
