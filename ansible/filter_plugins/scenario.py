"""Ansible filters: the roles' decisions, on the control node."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_WITHOUT_PATH = frozenset({"packaged", "python-reference"})
"""Kinds of foundation models and of data that come with the project."""


_DEFAULTS = Path(__file__).with_name("settings.json")
"""Made from the declarations of the settings (`make reference`)."""


def with_defaults(given: dict[str, Any], section: str) -> dict[str, Any]:
    """Return settings of a section, those that roles need themselves with their defaults."""
    defaults: dict[str, Any] = json.loads(_DEFAULTS.read_text(encoding="utf-8"))[section]
    return defaults | given


def folder_entries(
    names: Iterable[str], *, mode: str, group: str, owned: Iterable[str] = ()
) -> list[dict[str, str]]:
    """Return entries of M(host_files) for folders; `owned` belong to the services' user itself."""
    mine, common = set(owned), {"state": "directory", "mode": mode, "group": group}
    return [common | {"path": name, "owner": group if name in mine else ""} for name in names]


def definition_path(root: str, name: str, manager: str) -> str:
    """Name the file that defines a service.

    Unit names are one per user, so a unit carries its folder's digest: two folders never share a unit.
    """
    unit = f"{name}-{hashlib.sha256(root.encode()).hexdigest()[:12]}.service"
    return f"{root}/services/{name}.conf" if manager == "supervisor" else f"{root}/services/{unit}"


def release_folder(release: str) -> str:
    """Name the folder of a release, `name@sha256:<hex>`, in a store."""
    return f"releases/{release.replace('@sha256:', '/sha256-')}"


def was_rolled_back(release: str, entries: list[dict[str, Any]]) -> bool:
    """Tell whether an operator took a release back: only they know why, so it stays so."""
    last = entries[-1]["action"] if entries else ""
    return last == "rollback" and release in {entry["release"] for entry in entries}


def settles(
    outcome: dict[str, Any], question: dict[str, Any], *, state: str, channel: dict[str, Any], current: str
) -> bool:
    """Tell whether nothing is left to do: an outcome answers the question, and the channel says the same.

    Args:
        outcome: what the last evaluation and release gave; empty without.
        question: the run, the gate, and the names that the release is to have.
        state: the run's state, `done` when it was trained to its end.
        channel: what M(release_channel) told.
        current: the release that the channel names.

    """
    release = outcome.get("release", "")
    if state != "done" or outcome.get("question") != question or release not in channel.get("releases", []):
        return False
    return not outcome["passed"] or current == release or was_rolled_back(release, channel.get("entries", []))


def package_files(source: str) -> list[str]:
    """List the files of a package's source, relative to it, but for what builds and tests leave behind.

    Raises ValueError where there are none.
    """
    found = []
    for path in Path(source).rglob("*"):
        below = path.relative_to(source)
        if path.is_file() and path.suffix != ".pyc" and not any(map(_is_left_behind, below.parts[:-1])):
            found.append(str(below))
    if not found:
        raise ValueError(f"model_runtime_source: {source} has no files of a package")
    return sorted(found)


def _is_left_behind(folder: str) -> bool:
    return folder in {"build", "__pycache__"} or folder.startswith(".") or folder.endswith(".egg-info")


def package_digest(source: str, *others: str) -> str:
    """Take the SHA-256 of the source, names and contents, and of other texts: what a runtime is named by."""
    files = [Path(source, name) for name in package_files(source)]
    contents = [
        [str(file.relative_to(source)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files
    ]
    return hashlib.sha256(json.dumps([*others, contents]).encode()).hexdigest()


def input_problems(settings: dict[str, dict[str, Any]], paths: dict[str, bool]) -> list[str]:
    """Say of settings by name, such as `foundation`, which lack a path and which name one that is not there.

    Args:
        settings: `kind`, and mostly `path`.
        paths: which paths are there on the host, as M(premises_look) told.

    """
    problems = []
    for name, setting in settings.items():
        path = setting.get("path") or ""
        if not path and setting["kind"] not in _WITHOUT_PATH:
            problems.append(f"{name}.path is missing; {name}.kind {setting['kind']} needs one")
        elif path and not paths.get(path):
            problems.append(f"{name}.path {path} is not there")
    return problems


def training_trouble(looks: dict[str, dict[str, Any]]) -> list[str]:
    """Say of each host that trains what is wrong with it; nothing of those that are at work.

    Args:
        looks: by host, what M(training_progress) told, or that it could not be asked.

    """
    return [f"{host} {said}" for host, look in looks.items() if (said := _trouble(look))]


def _trouble(look: dict[str, Any]) -> str:
    if look.get("unreachable"):
        return "cannot be reached"
    if look.get("state", "stopped") != "stopped":
        return ""
    return f"stopped: {last_words(look.get('log') or [look.get('msg') or ''])}"


def last_words(log: list[str]) -> str:
    """Return the line of a log that says why a program ended: its own last one, or the last one at all."""
    lines = [line for line in log if line.strip()]
    own = [line for line in lines if line.startswith("scenario-model: ")]
    return (own or lines or ["it wrote nothing"])[-1]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            each.__name__: each
            for each in (
                with_defaults,
                folder_entries,
                definition_path,
                release_folder,
                was_rolled_back,
                settles,
                package_files,
                package_digest,
                input_problems,
                training_trouble,
                last_words,
            )
        }
