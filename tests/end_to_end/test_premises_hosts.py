"""Private AI on hosts of their own, by Pulumi: bare Debian hosts with systemd and no way out, in the lab.

One host trains (`s3-local`); two others serve what it released behind one endpoint (`s1-local-serving`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
import yaml

from lab import lock
from lab.fixtures import a_folder
from lab.premises.access import ssh
from lab.premises.lifecycle import bring_up
from lab.premises.wan import Wan
from scenario_model.digests import tree_digest
from scenario_model.release import keys
from scenario_model.release.signature import sign_directory
from tests.conftest import SHARING
from tests.end_to_end.conftest import ROOT, Clone, make_clone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.premises.lifecycle import Premises

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

# What a host keeps of its own accord: not files that a deployment made.
_EPHEMERAL = ("/proc", "/sys", "/run", "/dev", "/tmp", "/var/log", "/var/tmp", "/home", "/var/lib/systemd")


@dataclass
class Site:
    """Premises with both stacks; what each host had before."""

    premises: Premises
    trains: Clone
    serves: Clone
    before: dict[str, set[str]] = field(default_factory=dict)

    def on(self, number: int, command: str) -> str:
        host = self.premises.hosts[number]
        return ssh(host.folder, host.address, command, timeout_s=60)

    def files(self, number: int) -> set[str]:
        """Every file of a host that is there to stay, and every user and unit by the file that it is in."""
        pruned = " -o ".join(f"-path {folder}" for folder in _EPHEMERAL)
        found = self.on(number, f"sudo find / \\( {pruned} \\) -prune -o -print; getent passwd; getent group")
        return set(found.splitlines())


def inventory(premises: Premises, groups: dict[str, list[int]]) -> dict[str, Any]:
    """The lab's own inventory, in other groups, and with root by sudo."""
    written = yaml.safe_load(premises.inventory.read_text())["premises"]
    hosts = list(written["hosts"].items())
    children = {
        name: {"hosts": dict(hosts[number] for number in members)} for name, members in groups.items()
    }
    ours = {"ansible_become": True, "service_host_environment": SHARING}
    return {"premises": {"children": children, "vars": {**written["vars"], **ours}}}


def settings(clone: Clone, **values: Any) -> None:
    """Write a stack's file anew, but for the salt that Pulumi keeps there."""
    file = clone.path / "stacks" / f"Pulumi.{clone.stack}.yaml"
    kept = {k: v for k, v in yaml.safe_load(file.read_text()).items() if k == "encryptionsalt"}
    bundle = clone.path / ".state" / "bundle"
    premises = {
        "premises:inventory": f"ansible/inventory/{clone.stack}.yml",
        "premises:bundle": str(bundle),
        "premises:bundleKey": str(bundle.parent / "bundle-key" / "bundle-verification.pem"),
    }
    ours = {f"model-deployment-scenarios:{name}": value for name, value in values.items()}
    file.write_text(yaml.safe_dump({**kept, "config": {**ours, **premises}}))


OF_THE_OTHER_STACK = {"kind": "stack", "stack": "s3-local"}
SERVING = {"host": "0.0.0.0", "engine": {"compile": "off", "weights": "fp32", "threads": 1}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[Site]:
    """Both stacks up on three hosts; at the end both are removed, and the hosts are as they were."""
    trains = make_clone(tmp_path_factory.mktemp("hosts"))
    serves = Clone(path=trains.path, port=trains.port, stack="s1-local-serving")
    with a_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CLOUD", "none")
        with lock.exclusive(folder):
            premises = bring_up(folder, 3)
        site = Site(premises, trains, serves)
        prepare(site, tiny_checkpoint)
        site.before = {host.name: site.files(number) for number, host in enumerate(premises.hosts)}
        trains.run("make", "bundle", "CPU=yes")
        try:
            trains.said = trains.run("make", "up").stdout
            serves.said = serves.run("make", "up", "STACK=s1-local-serving").stdout
            yield site
        finally:
            serves.run("make", "down", "STACK=s1-local-serving")
            trains.run("make", "down")
        for number, host in enumerate(premises.hosts):
            assert sorted(site.files(number) - site.before[host.name])[:40] == [], host.name


def prepare(site: Site, checkpoint: Path) -> None:
    """Inventories and settings; a tiny foundation model and data on the host that trains."""
    for clone, groups in (
        (site.trains, {"training": [0], "inference": [0]}),
        (site.serves, {"inference": [1, 2], "balancer": [1]}),
    ):
        file = clone.path / "ansible" / "inventory" / f"{clone.stack}.yml"
        file.write_text(yaml.safe_dump(inventory(site.premises, groups)))
    texts = site.trains.path / "texts"
    texts.mkdir()
    for number in range(24):
        text = f"Chapter {number}. " + "The quick brown fox jumps over the lazy dog. " * 12
        (texts / f"{number:02}.txt").write_text(text)
    for source, target in ((checkpoint, "/srv/foundation"), (texts, "/srv/texts")):
        copy = ["-b", "-m", "ansible.builtin.copy", "-a", f"src={source}/ dest={target}/ mode=0755"]
        program = str(Path(sys.executable).parent / "ansible")
        command = [program, "-i", str(site.premises.inventory), "premises-1", *copy]
        subprocess.run(command, cwd=ROOT / "ansible", check=True, capture_output=True)
    settings(
        site.trains,
        foundation={"kind": "directory", "path": "/srv/foundation", "max_perplexity": 1e9},
        data={"kind": "text", "path": "/srv/texts", "held_out": 0.4},
        recipe={"method": "full", "max_steps": 6, "sequence_length": 128, "learning_rate": 0.01},
        gate={"old_domain_margin": 1.0},
        serving=SERVING,
        release={"name": "assistant", "export": ".state/releases"},
    )
    settings(site.serves, release=OF_THE_OTHER_STACK, serving=SERVING)


@contextlib.contextmanager
def client(clone: Clone) -> Iterator[httpx.Client]:
    """Speaks to the stack's endpoint, and trusts nothing but its CA."""
    outputs = clone.outputs()
    tls = ssl.create_default_context(cadata=outputs["ca_certificate"])
    headers = {"Authorization": f"Bearer {outputs['api_key']}"}
    base = outputs["endpoint"].removesuffix("/v1")
    with httpx.Client(base_url=base, verify=tls, headers=headers, timeout=60) as http:
        yield http


def test_what_one_host_trained_two_others_serve_behind_one_endpoint(site: Site) -> None:
    release = site.trains.outputs()["release"]
    assert site.serves.outputs()["release"] == release
    assert site.serves.outputs()["endpoint"].endswith(":9443/v1")
    with site.serves.client() as openai:
        answer = openai.chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": "Hello?"}], max_tokens=4
        )
    assert answer.usage
    with client(site.serves) as http:
        ready = http.get("/readyz")
        assert (ready.status_code, ready.headers["x-release"]) == (200, release)
        assert http.get("/metrics").status_code == 404, "the balancer passes on what is for clients"
        assert http.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    for clone in (site.trains, site.serves):
        clone.pulumi("preview", "--expect-no-changes")


def test_services_are_protected_and_each_host_comes_back_by_itself(site: Site) -> None:
    for number, service in ((0, "inference"), (1, "inference"), (1, "balancer"), (2, "inference")):
        unit = site.on(number, f"systemctl list-units --plain --no-legend '{service}-*.service'").split()[0]
        told = site.on(number, f"systemd-analyze security --no-pager {unit} | tail -1")
        assert float(told.split(":")[1].split()[0]) < 3.0, told
        assert site.on(number, f"systemctl show --property=User --value {unit}").strip() == "scenario"
    unit = site.on(2, "systemctl list-units --plain --no-legend 'inference-*.service'").split()[0]
    killed = site.on(2, f"systemctl show --property=MainPID --value {unit}").strip()
    site.on(2, f"sudo kill -9 {killed}")
    with client(site.serves) as http:
        assert http.get("/readyz").status_code == 200, "the other host answers meanwhile"
        deadline = time.monotonic() + 120
        while site.on(2, f"systemctl show --property=MainPID --value {unit}").strip() in {"0", killed}:
            assert time.monotonic() < deadline
            time.sleep(1)


@dataclass
class Load:
    """Asks again and again, as clients do, until it is told to stop; keeps what was not answered."""

    clone: Clone
    releases: set[str] = field(default_factory=set)
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        body = {"model": "assistant", "prompt": "One, two,", "max_tokens": 4, "ignore_eos": True}
        with client(self.clone) as http:
            while not self._over.wait(0.2):
                try:
                    answer = http.post("/v1/completions", json=body)
                    answer.raise_for_status()
                    self.answered += 1
                    self.releases.add(answer.headers["x-release"])
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))


def signed(folder: Path, model: Path, *, broken: bool = False) -> dict[str, str]:
    """Sign a release of a model with a key of its own; return it as a setting."""
    draft = folder / "assistant"
    subprocess.run(["cp", "-r", model, draft], check=True)
    if broken:
        (draft / "config.json").write_text('{"model_type": "llama", "hidden_size": 7}')
    evaluation = {"passed": True, "reasons": []}
    (draft / "release.json").write_text(
        json.dumps({"format": 1, "name": "assistant", "evaluation": evaluation, "note": folder.name})
    )
    digest = tree_digest(draft)
    keys.create_pair(folder / "signing.pem", folder / "verification.pem")
    sign_directory(draft, folder / "signing.pem")
    key = str(folder / "verification.pem")
    return {"kind": "file", "path": str(draft), "id": f"assistant@{digest}", "verification_key": key}


def test_a_release_is_rolled_out_host_by_host_and_a_broken_one_goes_no_further(
    site: Site, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    for name in ("next", "broken"):
        (tmp_path / name).mkdir()
    following = signed(tmp_path / "next", tiny_checkpoint)
    broken = signed(tmp_path / "broken", tiny_checkpoint, broken=True)
    before = site.serves.outputs()["release"]
    try:
        with offered(Path(following.pop("path"))) as url:
            roll_out(site, before, following | {"kind": "url", "url": url}, broken)
    finally:  # whatever became of it, the other tests meet what they expect
        settings(site.serves, release=OF_THE_OTHER_STACK, serving=SERVING)
        site.serves.pulumi("up", "--yes", "--skip-preview")
    with client(site.serves) as http:
        assert http.get("/readyz").headers["x-release"] == before


@contextlib.contextmanager
def offered(release: Path) -> Iterator[str]:
    """Offer a release on the controller's loopback as an archive; gives its address."""
    archive = release.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--file", archive, "--directory", release, "."], check=True)
    files = functools.partial(SimpleHTTPRequestHandler, directory=archive.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{archive.name}"
        finally:
            server.shutdown()
            thread.join()


def roll_out(site: Site, before: str, following: dict[str, str], broken: dict[str, str]) -> None:
    """Under a steady load: the following release everywhere, the broken one on no host but the first."""
    with Load(site.serves) as load:
        settings(site.serves, release=following, serving=SERVING)
        site.serves.pulumi("up", "--yes", "--skip-preview")
    assert load.failed == []
    assert load.releases == {before, following["id"]}

    untouched = site.on(2, "systemctl show --property=MainPID --value 'inference-*.service'")
    with Load(site.serves) as load:
        settings(site.serves, release=broken, serving=SERVING)
        said = " ".join(site.serves.pulumi("up", "--yes", "--skip-preview", check=False).stdout.split())
    assert f"It serves {following['id']} as before; hosts after it were not touched" in said, said[-3000:]
    assert "premises-2" in said
    assert load.failed == []
    assert load.releases == {following["id"]}
    assert site.on(2, "systemctl show --property=MainPID --value 'inference-*.service'") == untouched
    assert "it ended 3 times before it was ready" in said


def test_a_controller_without_a_network_takes_engine_and_packages_from_the_bundle(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "behind").mkdir()
    behind = make_clone(tmp_path / "behind")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "BUNDLE": str(site.trains.path / ".state" / "bundle"),
        "BUNDLE_KEY": str(site.trains.path / ".state" / "bundle-key" / "bundle-verification.pem"),
    }
    shell = 'eval "$(make -s env)" && pulumi version && python -c "import pulumi, ansible_runner"'
    done = subprocess.run(
        ["unshare", "--net", "bash", "-euc", shell],
        cwd=behind.path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "(bundle)" in done.stderr
    assert done.stdout.startswith("v3.")


def test_nothing_left_the_premises(site: Site) -> None:
    assert [name for name, traffic in Wan(site.premises.space).capture().items() if traffic.sent] == []
