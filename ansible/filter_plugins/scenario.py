"""Ansible filters: the roles' decisions, on the control node."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_WITHOUT_PATH = frozenset({"packaged", "python-reference"})
"""Kinds of foundation models and data that are bundled with the project."""


_GROUP_OF = {
    "training": "training",
    "inference": "inference",
    "edge": "inference",
    "lifecycle": "lifecycle",
    "balancer": "balancer",
}
"""The inventory's group whose hosts run a service; a lifecycle has none, and is there if it is asked for."""


_DEFAULTS = Path(__file__).with_name("settings.json")
"""Generated from the declarations of the settings (`make reference`)."""


def with_defaults(given: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the settings of a section, with defaults for those that roles themselves use."""
    defaults: dict[str, Any] = json.loads(_DEFAULTS.read_text(encoding="utf-8"))[section]
    return defaults | given


def folder_entries(
    names: Iterable[str], *, mode: str, group: str, owned: Iterable[str] = ()
) -> list[dict[str, str]]:
    """Return entries of M(host_files) for folders; the services' user, if there is one, owns those in `owned`."""
    mine, common = set(owned), {"state": "directory", "mode": mode, "group": group}
    others = "root" if group else ""
    return [common | {"path": name, "owner": group if name in mine else others} for name in names]


def absent_entries(paths: Iterable[str]) -> list[dict[str, str]]:
    """Return entries of M(host_files) for paths that are to be removed."""
    return [{"path": path, "state": "absent"} for path in paths]


def definition_path(root: str, name: str, manager: str) -> str:
    """Return the path of the file that defines a service.

    Unit names are unique per user, so a unit name includes its folder's digest: no two folders share a unit.
    """
    unit = f"{name}-{hashlib.sha256(root.encode()).hexdigest()[:12]}.service"
    return f"{root}/services/{name}.conf" if manager == "supervisor" else f"{root}/services/{unit}"


def left_services(there: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Return the services deployed in a folder whose group in the inventory is not one of `groups`."""
    found = (re.fullmatch(r"services/([a-z]+)(-[0-9a-f]+)?\.(conf|service)", path) for path in there)
    deployed = {match[1] for match in found if match} & _GROUP_OF.keys()
    return sorted(service for service in deployed if _GROUP_OF[service] not in set(groups))


def local_url(host: str, port: int) -> str:
    """Return where a service that listens at `host` answers on its own host; everywhere is also 127.0.0.1."""
    host = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - nothing is bound here
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def server_url(record: str, otherwise: str) -> str:
    """Return where a server answers on its own host by its settings, a serve.json in base64; or `otherwise`.

    The file may have been changed by hand, so whatever it contains is no error here.
    """
    try:
        settings = with_defaults(dict(json.loads(base64.b64decode(record))), "serving")
        return local_url(str(settings["host"]), int(settings["port"]))
    except (ValueError, KeyError, TypeError):
        return otherwise


def release_folder(release: str) -> str:
    """Return the folder of a release, `name@sha256:<hex>`, in a store."""
    return f"releases/{release.replace('@sha256:', '/sha256-')}"


def was_rolled_back(release: str, entries: list[dict[str, Any]]) -> bool:
    """Return whether an operator rolled a release back: only they know why, so it stays rolled back."""
    last = entries[-1]["action"] if entries else ""
    return last == "rollback" and release in {entry["release"] for entry in entries}


def settles(
    outcome: dict[str, Any], question: dict[str, Any], *, state: str, channel: dict[str, Any], current: str
) -> bool:
    """Return whether nothing is left to do: the outcome matches the question, and the channel agrees.

    Args:
        outcome: the result of the last evaluation and release; empty if there is none.
        question: the run, the gate, and the names that the release should have.
        state: the run's state, `done` when training is complete.
        channel: the result of M(release_channel).
        current: the release that the channel names.

    """
    release = outcome.get("release", "")
    if state != "done" or outcome.get("question") != question or release not in channel.get("releases", []):
        return False
    return not outcome["passed"] or current == release or was_rolled_back(release, channel.get("entries", []))


def package_files(source: str) -> list[str]:
    """List the files of a package's source, relative to it, without artifacts of builds and tests.

    Raises ValueError if there are none.
    """
    found = []
    for path in Path(source).rglob("*"):
        below = path.relative_to(source)
        if path.is_file() and path.suffix != ".pyc" and not any(map(_is_left_behind, below.parts[:-1])):
            found.append(str(below))
    if not found:
        raise ValueError(f"model_runtime_source: {source} contains no package files")
    return sorted(found)


def _is_left_behind(folder: str) -> bool:
    return folder in {"build", "__pycache__"} or folder.startswith(".") or folder.endswith(".egg-info")


def package_digest(source: str, *others: str) -> str:
    """Return the SHA-256 of the source (names and contents) and other texts, which names a runtime."""
    files = [Path(source, name) for name in package_files(source)]
    contents = [
        [str(file.relative_to(source)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files
    ]
    return hashlib.sha256(json.dumps([*others, contents]).encode()).hexdigest()


def input_problems(settings: dict[str, dict[str, Any]], paths: dict[str, bool]) -> list[str]:
    """Return problems of settings, such as `foundation`, whose path is missing or does not exist.

    Args:
        settings: `kind`, and usually `path`, by name.
        paths: which paths exist on the host, from M(premises_look).

    """
    problems = []
    for name, setting in settings.items():
        if not setting.get("path") and setting["kind"] not in _WITHOUT_PATH:
            problems.append(f"{name}.path is missing; {name}.kind {setting['kind']} needs one")
        for key in ("path", "held_out_path"):
            path = setting.get(key)
            if path and not paths.get(path):
                problems.append(f"{name}.{key} {path} does not exist")
    return problems


def training_trouble(looks: dict[str, dict[str, Any]]) -> list[str]:
    """Return the problem of each training host; hosts that are working are omitted.

    Args:
        looks: by host, the result of M(training_progress), or that the host was unreachable.

    """
    return [f"{host} {said}" for host, look in looks.items() if (said := _trouble(look))]


def _trouble(look: dict[str, Any]) -> str:
    if look.get("unreachable"):
        return "cannot be reached"
    if look.get("state", "stopped") != "stopped":
        return ""
    return f"stopped: {last_words(look.get('log') or [look.get('msg') or ''])}"


def last_words(log: list[str]) -> str:
    """Return the log line that explains why a program exited: its own last line, otherwise the last of all."""
    lines = [line for line in log if line.strip()]
    own = [line for line in lines if line.startswith("scenario-model: ")]
    return (own or lines or ["no output"])[-1]


_SAYS_NOTHING = (
    "Error executing command.",
    "One or more items failed",
    "non-zero return code",
    "MODULE FAILURE",
)


def failure_reason(result: dict[str, Any]) -> str:
    """Return why a task failed, in one line: of a loop its first failed item, of a command the system's own words."""
    for item in result.get("results") or []:
        if item.get("failed") or item.get("unreachable"):
            return failure_reason(item)
    said = str(result.get("msg") or "no reason given")
    if said.startswith(_SAYS_NOTHING):
        for key in ("stderr", "module_stderr", "exception"):
            lines = [line for line in str(result.get(key) or "").splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
    return " ".join(said.split())


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            each.__name__: each
            for each in (
                with_defaults,
                folder_entries,
                absent_entries,
                definition_path,
                left_services,
                local_url,
                server_url,
                release_folder,
                was_rolled_back,
                settles,
                package_files,
                package_digest,
                input_problems,
                training_trouble,
                last_words,
                failure_reason,
            )
        }
