"""Inventories in every form that Ansible takes, drawn at random from a seed."""

from __future__ import annotations

import json
import random
import stat
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

FORMS = ("ini", "yml", "json", "toml", "folder", "script")
_NAMES = (
    "gpu-a",
    "gpu-b.example.com",
    "192.0.2.40",
    "serve-[1:3].example.com",
    "rack-[a:c]-[01:02]",
    "spare:2222",
)


def drawn(folder: Path, seed: int) -> tuple[Path, Path]:
    """Write an inventory, and variables in any of the places where Ansible looks; return it and its playbooks."""
    random_ = random.Random(seed)
    form = FORMS[seed % len(FORMS)]
    playbooks = folder / "playbooks"
    playbooks.mkdir(parents=True)
    names = [name for name in _NAMES if form != "script" or ("[" not in name and ":" not in name)]
    groups: dict[str, Any] = {}
    for group in ("training", "inference", "balancer"):
        members = random_.sample(names, random_.randint(1, len(names)))
        groups[group] = {"hosts": {name: _connection(random_, 0.3) for name in members}}
        groups[group]["vars"] = _connection(random_, 0.2)
    path = _written(folder, form, groups)
    home = path if path.is_dir() else folder
    for place in (home, playbooks):
        for name in random_.sample(("gpu-a", "gpu-b.example.com", "serve-2.example.com", "rack-a-02"), 2):
            _beside(place / "host_vars", name, _connection(random_, 0.7), random_)
        for name in random_.sample(("all", "premises", "training", "inference"), 2):
            _beside(place / "group_vars", name, _connection(random_, 0.3), random_)
    return path, playbooks


def _connection(random_: random.Random, probability: float) -> dict[str, Any]:
    """Draw some of the variables by which Ansible connects."""
    address = (
        f"2001:db8::{random_.randint(1, 99)}"
        if random_.random() < 0.3
        else f"10.0.0.{random_.randint(1, 99)}"
    )
    variables = {
        "ansible_host": address,
        "ansible_ssh_host": f"old-{address}",
        "ansible_connection": random_.choice(("local", "ssh", "ansible.builtin.local")),
        "ansible_port": 2200,
    }
    return {name: value for name, value in variables.items() if random_.random() < probability}


def _beside(folder: Path, name: str, variables: dict[str, Any], random_: random.Random) -> None:
    """Write variables of a host or group as a file with or without a suffix, or as a folder of files."""
    folder.mkdir(exist_ok=True)
    match random_.randrange(4):
        case 0:
            (folder / f"{name}.yml").write_text(yaml.safe_dump(variables))
        case 1:
            (folder / name).write_text(yaml.safe_dump(variables))
        case 2:
            (folder / f"{name}.json").write_text(json.dumps(variables))
        case _:
            (folder / name).mkdir()
            (folder / name / "main.yaml").write_text(yaml.safe_dump(variables))


def _written(folder: Path, form: str, groups: dict[str, Any]) -> Path:
    path = folder / f"inventory.{form}"
    match form:
        case "yml":
            path.write_text(yaml.safe_dump({"premises": {"children": groups}}, sort_keys=False))
        case "json":
            path.write_text(json.dumps({"premises": {"children": groups}}))
        case "ini":
            path.write_text(_ini(groups))
        case "toml":
            path.write_text(_toml(groups))
        case "script":
            path.write_text(_script(groups))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        case _:
            (path / "below").mkdir(parents=True)
            (path / "10-groups.yml").write_text(yaml.safe_dump({"premises": {"children": groups}}))
            (path / "below" / "20-more").write_text("[training]\nlate.example.com ansible_host=10.9.9.9\n")
            (path / "30-notes.txt~").write_text("not an inventory: [")
    return path


def _ini(groups: dict[str, Any]) -> str:
    lines = ["[premises:children]", *groups]
    for group, body in groups.items():
        lines += [f"[{group}]"]
        lines += [" ".join([name, *_pairs(own)]) for name, own in body["hosts"].items()]
        lines += [f"[{group}:vars]", *_pairs(body["vars"])]
    return "\n".join(lines) + "\n"


def _pairs(variables: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def _toml(groups: dict[str, Any]) -> str:
    lines = ["[premises]", f"children = {json.dumps(list(groups))}"]
    for group, body in groups.items():
        for name, own in {**body["hosts"], None: body["vars"]}.items():
            lines += [f"[{group}.vars]" if name is None else f"[{group}.hosts.{json.dumps(name)}]"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in own.items()]
    return "\n".join(lines) + "\n"


def _script(groups: dict[str, Any]) -> str:
    answer: dict[str, Any] = {"premises": {"children": list(groups)}, "_meta": {"hostvars": {}}}
    for group, body in groups.items():
        answer[group] = {"hosts": list(body["hosts"]), "vars": body["vars"]}
        for name, own in body["hosts"].items():
            answer["_meta"]["hostvars"].setdefault(name, {}).update(own)
    return f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n"
