"""What a reviewer reads of a change: each case is a change of a shipped stack, previewed by the real engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from previews.comment import comment
from previews.events import changes_of
from previews.states import at_home, moved
from stacks.scenarios import SCENARIOS
from tests.previews.cases import (
    OWN,
    another_recipe,
    another_release,
    egress,
    hosts,
    looser_bucket,
    moved_ring,
    renamed,
    settings,
    tainted_authority,
    written_differently,
)
from tests.previews.conftest import ROOT, changed_program

if TYPE_CHECKING:
    from pathlib import Path

    from previews.comment import Verdict
    from tests.previews.conftest import Stacks

pytestmark = pytest.mark.slow


def kinds(verdict: Verdict) -> dict[str, set[str]]:
    """What changes, by what happens to it."""
    found: dict[str, set[str]] = {}
    for step in verdict.changes.changing:
        found.setdefault(step.kind, set()).add(f"{step.type.rpartition(':')[2]} {step.name}")
    return found


@pytest.mark.parametrize("stack", SCENARIOS)
def test_a_stack_that_is_as_it_was_shows_no_change_although_no_secret_of_it_is_known(
    stacks: Stacks, stack: str
) -> None:
    verdict = stacks.verdict(stack)
    assert verdict.changes.error == ""
    assert kinds(verdict) == {}
    assert verdict.dangers == []
    assert [
        each for each in verdict.changes.violations if each.stops or "not known yet" in each.message
    ] == []
    assert verdict.changes.uncompared > 0
    assert "nothing changes" in comment([verdict])


def test_a_state_that_another_checkout_left_shows_no_change(stacks: Stacks) -> None:
    stack = "s3-local"
    there = moved(stacks.state(stack), str(ROOT), "/srv/stacks")
    assert "/srv/stacks/.state" in json.dumps(there)
    here = at_home(there, ROOT, f".state/{stack}/premises")
    assert here == stacks.state(stack)
    changes = changes_of(stacks.previewed(stack, there))
    assert "premises:root was /srv/stacks/.state" in changes.error, "this is why it has to be moved"


def test_another_instance_type_replaces_nodes_and_says_what_that_costs(stacks: Stacks) -> None:
    nodes = {"instance_type": "g6.4xlarge", "maximum": 2}
    verdict = stacks.verdict("s2-cloud-training", settings(cloud__nodes=nodes))
    told = kinds(verdict)
    assert {"LaunchTemplate training", "NodeGroup training"} <= told["replace"]
    assert "replaces a group of nodes with all that runs there (`training`)" in verdict.dangers
    assert verdict.before
    assert verdict.after
    assert verdict.after.per_hour > verdict.before.per_hour
    text = comment([verdict])
    assert "`instanceType`: `g6.2xlarge` → `g6.4xlarge`" in text
    assert "node g6.4xlarge, all 2 of them" in text
    assert f"at least {verdict.before.per_hour * 730:,.0f} → at least" in text
    assert "disks of nodes, by GiB: 500 x " in text, "two of 200 GiB, two of 50"
    assert "NAT gateway, without traffic: 1 x 0.052 USD an hour" in text


def test_another_network_replaces_it_and_all_that_is_in_it(stacks: Stacks) -> None:
    verdict = stacks.verdict("s2-cloud-training", settings(cloud__cidr="10.81.0.0/16"))
    told = kinds(verdict)
    assert {"Vpc training", "Subnet training-eu-central-1a"} <= told["replace"]
    assert "replaces the network (`training`)" in verdict.dangers
    assert "replaces a subnet (`training-eu-central-1a`)" in verdict.dangers


def test_another_recipe_trains_again(stacks: Stacks) -> None:
    verdict = stacks.verdict("s3-local", another_recipe)
    assert "TrainingRun training" in kinds(verdict)["update"]
    text = comment([verdict])
    assert "a model is trained again" in text
    assert "`recipe.max_steps`: `44` → `50`" in text
    assert "hosts: 1 (`localhost`)" in text


def test_another_release_goes_to_the_servers(stacks: Stacks) -> None:
    verdict = stacks.verdict("s1-local-serving", another_release)
    assert "Playbook serving" in kinds(verdict)["update"]
    assert "servers get a release or other settings" in comment([verdict])


def test_a_new_host_is_counted(stacks: Stacks, tmp_path: Path) -> None:
    found = {"localhost": {"ansible_connection": "local"}, "b": {"ansible_host": "10.0.0.2"}}
    verdict = stacks.verdict("s4-cloud-serving", hosts(tmp_path, found))
    assert kinds(verdict)["create"] == {"Invitation site-b"}
    assert "hosts: 2 (`b`, `localhost`)" in comment([verdict]).replace("`localhost`, `b`", "`b`, `localhost`")


def test_a_host_that_would_leave_with_its_services_running_is_no_preview(
    stacks: Stacks, tmp_path: Path
) -> None:
    verdict = stacks.verdict("s4-cloud-serving", hosts(tmp_path, {"b": {"ansible_host": "10.0.0.2"}}))
    assert "localhost left" in verdict.changes.error


def test_wider_egress_is_dangerous_and_narrower_is_not(stacks: Stacks) -> None:
    wider = stacks.verdict("s4-cloud-serving", egress("10.0.0.0/8"))
    assert [each for each in wider.dangers if "wider network access: `10.0.0.0/8`" in each]
    narrower = stacks.verdict("s4-cloud-serving", egress("10.9.1.0/24"))
    assert kinds(narrower)
    assert narrower.dangers == []


def test_a_looser_policy_is_dangerous(stacks: Stacks) -> None:
    def before(state: dict[str, Any]) -> None:
        for resource in state["resources"]:
            if resource["type"] == "aws:iam/rolePolicy:RolePolicy" and resource["urn"].endswith("::trainer"):
                policy = json.loads(resource["inputs"]["policy"])
                policy["Statement"].pop()
                resource["inputs"]["policy"] = resource["outputs"]["policy"] = json.dumps(policy)

    verdict = stacks.verdict("s2-cloud-training", before=before)
    assert kinds(verdict) == {"update": {"RolePolicy trainer"}}
    assert verdict.dangers
    assert all(each.startswith("wider permissions: its holder may `") for each in verdict.dangers)


def test_a_looser_policy_of_the_bucket_is_dangerous(stacks: Stacks) -> None:
    verdict = stacks.verdict("s2-cloud-training", before=looser_bucket)
    assert list(kinds(verdict)) == ["update"]
    (danger,) = verdict.dangers
    assert danger.startswith("wider permissions: * is no longer denied `s3:DeleteObjectVersion` on `*`")


def test_a_key_that_is_to_be_made_anew_is_dangerous(stacks: Stacks) -> None:
    verdict = stacks.verdict("s3-local", before=tainted_authority)
    assert "CertificateAuthority" in {each.split()[0] for each in kinds(verdict)["replace"]}
    assert [each for each in verdict.dangers if "replaces a certificate authority: every client" in each]


@pytest.mark.parametrize(
    ("program", "changes", "danger"),
    [
        (written_differently(), {}, None),
        (renamed(alias=True), {}, None),
        (
            renamed(alias=False),
            {"create": "Bucket {}-files", "delete": "Bucket {}"},
            "deletes a bucket with all that is in it",
        ),
    ],
    ids=["written differently", "renamed with its alias", "renamed without one"],
)
def test_what_a_program_calls_a_resource_matters_only_without_its_alias(
    stacks: Stacks, tmp_path: Path, program: tuple[str, str, str], changes: dict[str, str], danger: str | None
) -> None:
    verdict = stacks.verdict("s2-cloud-training", root=changed_program(tmp_path, *program))
    assert verdict.changes.error == ""
    found = kinds(verdict)
    (name,) = [each.name for each in verdict.changes.steps if each.type == "aws:s3/bucketPolicy:BucketPolicy"]
    for kind, resource in changes.items():
        assert resource.format(name) in found[kind]
    if danger is None:
        assert (found, verdict.dangers) == ({}, [])
    else:
        assert [each for each in verdict.dangers if danger in each]


def test_a_cloud_in_a_stack_that_keeps_its_data_breaks_residency(stacks: Stacks) -> None:
    verdict = stacks.verdict("s1-local-serving", settings(aws__region="eu-central-1"))
    assert "keeps its data on the premises" in verdict.broken
    assert verdict.fails
    assert "**would leave the premises**" in comment([verdict])


def test_a_moved_ring_changes_the_site_that_moves(stacks: Stacks) -> None:
    verdict = stacks.verdict("s4-cloud-serving", moved_ring)
    assert "Invitation site-localhost" in kinds(verdict)["replace"] | kinds(verdict).get("update", set())
    assert "`ring`: `all` → `first`" in comment([verdict])


def test_what_is_removed_is_named_first(stacks: Stacks) -> None:
    def before(state: dict[str, Any]) -> None:
        (bucket,) = [each for each in state["resources"] if each["type"] == "aws:s3/bucket:Bucket"]
        urn = bucket["urn"].rpartition("::")[0] + "::old"
        state["resources"].append({**bucket, "urn": urn, "id": "old-id"})

    verdict = stacks.verdict("s2-cloud-training", before=before)
    assert kinds(verdict) == {"delete": {"Bucket old"}}
    assert verdict.dangers == ["deletes a bucket with all that is in it (`old`)"]


def test_an_error_of_the_program_is_the_preview(stacks: Stacks) -> None:
    verdict = stacks.verdict("s3-local", lambda config: config.update({f"{OWN}:recipe": {"rnak": 3}}))
    assert "rnak" in verdict.changes.error
    text = comment([verdict])
    assert "There is no preview:" in text
    assert "Traceback" not in text
