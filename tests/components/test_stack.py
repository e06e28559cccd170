"""What a user of `pulumi` sees of hosts, trainings, credentials: real engine and Ansible, tiny playbooks."""

from __future__ import annotations

import json
import random
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.processes import end_stray_processes
from tests.campaigns import campaign
from tests.components.conftest import PASSPHRASE, ROOT, Project
from tests.killed_engine import killed_after
from tests.planted import leaks

pytestmark = pytest.mark.slow
GREETING: dict[str, Any] = {"parts": ["greeting"]}
EVENTS = 10
"""Lines of an update of two parts, from nothing, that tell of a resource, but for the last two."""

# The repository's own program, with a scenario that somebody put a bucket into.
CLOUD_ON_THE_PREMISES = f"""
import runpy
import pulumi
from stacks import s3_local

def build(stack, settings):
    pulumi.CustomResource("aws:s3/bucket:Bucket", "backup", {{}})

s3_local.build = build
pulumi.get_stack = lambda: "s3-local"
runpy.run_path({str(ROOT / "__main__.py")!r}, run_name="__main__")
"""


def errors_in(said: str) -> list[str]:
    """The error lines of the diagnostics, once each, but for the engine's own last word."""
    lines = [line.strip() for line in said.partition("Diagnostics:")[2].splitlines()]
    return [line for line in lines if line.startswith("error:") and line != "error: update failed"]


def test_a_host_changed_by_hand_shows_in_refresh_and_the_next_up_mends_it(project: Project) -> None:
    project.up(**GREETING)
    assert project.unchanged(**GREETING)
    greeting = project.premises / "greeting"
    greeting.write_text("changed by hand\n", encoding="utf-8")

    shown = project.pulumi("refresh", "--preview-only", "--diff", **GREETING)
    assert "+ drift" in shown
    assert "greeting : Write the greeting" in shown
    assert greeting.read_text(encoding="utf-8") == "changed by hand\n"

    project.pulumi("refresh", "--yes", "--skip-preview", **GREETING)
    assert "- drift" in project.preview(**GREETING)
    project.up(**GREETING)
    assert greeting.read_text(encoding="utf-8") == "hello world\n"
    assert project.unchanged(**GREETING)
    project.pulumi("refresh", "--yes", "--skip-preview", **GREETING)
    assert project.unchanged(**GREETING)


def test_a_changed_setting_shows_exactly_that_and_contacts_no_host(project: Project) -> None:
    project.up(**GREETING)
    # A host that cannot be contacted: were it asked, the preview would fail.
    inventory = project.path / "ansible" / "inventory.yml"
    text = inventory.read_text(encoding="utf-8")
    inventory.write_text(text.replace("ansible_connection: local", "ansible_connection: nowhere"), "utf-8")
    shown = project.preview(**GREETING, who="mars")
    assert '~ who: "world" => "mars"' in shown
    assert "~ inventory_digest" in shown
    inventory.write_text(text, encoding="utf-8")
    # Nor is anybody asked for the plugins of the clouds whose packages are installed here.
    assert "download" not in project.pulumi("preview", "--logtostderr", "-v=1", **GREETING)

    role = project.path / "ansible" / "roles" / "greeting" / "tasks" / "main.yml"
    role.write_text(role.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")
    shown = project.preview(**GREETING)
    assert "~ roles/greeting" in shown
    assert "greet.yml" not in shown


def test_with_preview_check_a_preview_says_what_would_change_on_which_host(project: Project) -> None:
    project.up(**GREETING)
    shown = project.preview(**GREETING, who="mars", preview_check=True)
    assert "+ would_change" in shown
    assert f'+     [0]: "greeting : Write the greeting ({project.premises}/greeting)"' in shown
    assert (project.premises / "greeting").read_text(encoding="utf-8") == "hello world\n"
    assert project.unchanged(**GREETING, preview_check=True)


def test_a_failed_host_is_one_error_line_by_name_without_the_secret_in_it(project: Project) -> None:
    said = project.up(
        check=False, **GREETING, fails="disk full\nof hunter2-hunter2", password="hunter2-hunter2"
    )
    line = "error: PremisesError: ansible/greet.yml: here failed: greeting : Fail on purpose: disk full of …"
    assert errors_in(said) == [line]
    assert "Traceback" not in said


def test_an_unreachable_host_is_one_error_line_by_name(project: Project) -> None:
    (project.path / "ansible" / "away.yml").write_text(
        "premises: {children: {training: {hosts: {away: {ansible_host: 127.0.0.1, ansible_port: 1}}}}}\n",
        "utf-8",
    )
    said = project.up(check=False, **GREETING, inventory="ansible/away.yml")
    assert len(errors_in(said)) == 1
    assert "ansible/greet.yml: away cannot be reached: greeting : Make the folder" in errors_in(said)[0]


def test_a_moved_folder_is_refused_because_what_runs_in_the_old_one_would_stay(project: Project) -> None:
    project.up(**GREETING)
    said = project.pulumi("preview", check=False, **GREETING, root="/elsewhere")
    (error,) = errors_in(said)
    assert "premises:root" in error
    assert "make down" in error


def test_a_host_that_left_the_inventory_is_refused_until_it_is_listed_as_removed(project: Project) -> None:
    inventory = project.path / "ansible" / "inventory.yml"
    text = inventory.read_text(encoding="utf-8")
    inventory.write_text(text.replace("        here:\n", "        here:\n        there:\n"), "utf-8")
    project.up(**GREETING)
    inventory.write_text(text, encoding="utf-8")
    (error,) = errors_in(project.pulumi("preview", check=False, **GREETING))
    remedy = (
        f"ANSIBLE_CONFIG=ansible/ansible.cfg {Path(sys.executable).parent}/ansible-playbook "
        "-i ansible/inventory.yml ansible/undo.yml "
        f"--limit there -e scenario_root={project.premises}"
    )
    assert error.startswith("error: PremisesError: there left ansible/inventory.yml")
    assert f"{remedy}; then" in error
    assert error.endswith("premises:removedHosts: [there]")
    project.up(**GREETING, removed_hosts=["there"])
    assert project.unchanged(**GREETING), "whoever was taken out is forgotten"


def test_a_destroyed_stack_leaves_nothing_and_a_vanished_host_has_a_way_out(project: Project) -> None:
    project.up(**GREETING)
    undo = project.path / "ansible" / "undo.yml"
    text = undo.read_text(encoding="utf-8")
    undo.write_text(text.replace("ansible.builtin.file", "ansible.builtin.no_such_module"), encoding="utf-8")
    said = project.pulumi("destroy", "--yes", "--skip-preview", check=False, **GREETING)
    assert "pulumi state delete URN" in errors_in(said)[0]
    assert project.premises.exists()
    undo.write_text(text, encoding="utf-8")
    project.pulumi("destroy", "--yes", "--skip-preview", **GREETING)
    assert not project.premises.exists()


def test_a_training_shows_its_progress_and_never_trains_the_same_twice(project: Project) -> None:
    shape: dict[str, Any] = {"parts": ["training"]}
    assert "here: step 40/120, loss 2.1" in project.up(**shape)
    release = project.output("release")
    assert project.output("evaluation") == {"gain": 0.5}

    shown = project.preview(**shape, rank=32)
    assert "~ rank: 16 => 32" in shown
    said = project.up(check=False, **shape, rank=32, minimum_gain=0.9)
    expected = "ansible/train.yml: here failed: Ask the gate: the gate wants a gain of 0.9, this run has 0.5"
    assert errors_in(said) == [f"error: PremisesError: {expected}"]
    assert project.output("release") == release
    assert project.unchanged(**shape)

    project.up(**shape, rank=32)
    assert project.output("release") != release
    project.up(**shape)
    assert project.output("release") == release
    runs = list((project.premises / "runs").iterdir())
    assert [run.read_text(encoding="utf-8") for run in runs] == ["trained\n", "trained\n"]


def test_no_secret_is_in_state_history_output_or_left_behind(project: Project) -> None:
    shape: dict[str, Any] = {"password": 'planted p"ssw\\rd é 92af01'}
    said = project.up(**shape)
    said += project.preview(**{**shape, "password": "another planted 77e1b0"})
    said += project.pulumi("refresh", "--yes", "--skip-preview", "--diff", **shape)
    secrets = [shape["password"], "another planted 77e1b0", PASSPHRASE]
    secrets += [project.output(name) for name in ("api_key", "private_key", "authority_key")]
    ours = [
        file for file in project.path.parent.rglob("*") if file.is_file() and "premises" not in file.parts
    ]
    texts = {str(file): file.read_bytes() for file in ours if file.suffix != ".py"} | {
        "output": said.encode()
    }
    assert leaks(texts, secrets) == []
    # The search looks where it should: what is no secret is found.
    assert any(b"BEGIN CERTIFICATE" in text for text in texts.values())
    assert any(b"ciphertext" in text for text in texts.values())
    assert list((project.path.parent / "private").iterdir()) == []


def test_a_cloud_resource_on_the_premises_is_refused_in_preview_in_one_line(project: Project) -> None:
    (project.path / "__main__.py").write_text(CLOUD_ON_THE_PREMISES, encoding="utf-8")
    said = project.pulumi("preview", check=False)
    expected = "s3-local keeps its data on the premises, so aws:s3/bucket:Bucket 'backup' is not allowed"
    assert len(errors_in(said)) == 1
    assert errors_in(said)[0].startswith(f"error: {expected}; remove the resource")


def test_the_server_certificate_is_trusted_by_the_stacks_authority_alone(project: Project) -> None:
    project.up(parts=["serving"])
    context = ssl.create_default_context(cadata=project.output("ca_certificate"))
    assert [authority["subject"] for authority in context.get_ca_certs()] == [((("commonName", "tests"),),)]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(project.premises / "server.pem", project.premises / "server.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = context.wrap_bio(there, back, server_hostname="localhost")
    server_side = server.wrap_bio(back, there, server_side=True)
    for _ in range(3):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client_side.version() == "TLSv1.3"


@campaign("kills", 1, soak=20)
def test_after_a_kill_at_any_moment_cancel_refresh_and_up_lead_back(project: Project, kills: int) -> None:
    generator = random.Random("moments")
    for round_ in range(kills):
        shape: dict[str, Any] = {"parts": ["greeting", "serving"], "who": f"round {round_}"}
        if round_:  # from nothing again: an update of what is there has two moments, and not ten
            project.pulumi("destroy", "--yes", "--skip-preview", **shape)
        with project.start("up", "--yes", "--skip-preview", **shape) as process:
            killed_after(generator.randint(1, EVENTS), process)
        assert gone_within(10, lambda: children_of_playbooks(project.path)), "a playbook outlived its engine"
        end_stray_processes(
            project.environment["PULUMI_HOME"]
        )  # Pulumi's own language host never ends by itself

        project.pulumi("cancel", "--yes", **shape)
        project.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", **shape)
        project.up(**shape)
        assert project.unchanged(**shape)
        assert (project.premises / "greeting").read_text(encoding="utf-8") == f"hello round {round_}\n"
        deployment = json.loads(project.pulumi("stack", "export"))["deployment"]
        assert deployment.get("pending_operations") in (None, [])


def children_of_playbooks(path: Path) -> list[str]:
    """Command lines of the processes that work on a project's hosts."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            here = str((entry / "cwd").readlink()).startswith(str(path))
        except OSError:
            continue
        if here and ("ansible-playbook" in line or "components.ansible." in line or "pulumi.dynamic" in line):
            found.append(line)
    return found


def gone_within(seconds: float, find: Any) -> bool:
    deadline = time.monotonic() + seconds
    while find():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
