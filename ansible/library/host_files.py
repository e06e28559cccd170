#!/usr/bin/python
"""Ansible module: write a list of files, folders and links to a host in one call."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_files
short_description: Write files, folders and links, all in one call
description:
  - Does in one call what M(ansible.builtin.copy) and M(ansible.builtin.file) do in several calls per path.
    Entries are processed in order, so list a folder before its contents.
  - A file is replaced by a rename, and only if its content differs; mode, owner and group are set if
    they differ.
options:
  base: {type: path, default: "", description: [The folder that relative paths start from.]}
  entries:
    type: list
    elements: dict
    required: true
    description: [The desired entries.]
    suboptions:
      path: {type: str, required: true, description: [Its path, below O(base) or absolute.]}
      state: {type: str, default: file, choices: [file, directory, link, absent], description: [Its type.]}
      content: {type: str, description: [The content of a file.]}
      target: {type: str, description: [The target of a link.]}
      mode: {type: str, description: [Octal; unchanged if omitted.]}
      owner: {type: str, description: [Unchanged if empty or omitted.]}
      group: {type: str, description: [Unchanged if empty or omitted.]}
      keep: {type: bool, default: false, description: [Keep an existing file regardless of its content.]}
      validated: {type: bool, default: true, description: [Whether O(validate) is for this file.]}
  validate:
    type: str
    description: [Command that validates new content before it replaces anything; C(%s) is the draft.]
author: [model-deployment-scenarios]
"""
RETURN = r"""
paths: {type: list, elements: str, returned: always, description: [The changed paths.]}
"""

_ENTRY: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "default": "file", "choices": ["file", "directory", "link", "absent"]},
    "content": {"type": "str"},
    "target": {"type": "str"},
    "mode": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "keep": {"type": "bool", "default": False},
    "validated": {"type": "bool", "default": True},
}
_OPTIONS: dict[str, Any] = {
    "base": {"type": "path", "default": ""},
    "entries": {"type": "list", "elements": "dict", "required": True, "options": _ENTRY},
    "validate": {"type": "str"},
}
_REASONS = 4
"""Lines of a validation that are shown: haproxy ends with summaries of what it said before."""
_LARGEST_DIFF = 100_000
"""Maximum content size shown in a diff, in bytes; larger content is only reported as different."""


class HostFiles:
    """Writes entries to this host, or determines what would change."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._dry: bool = module.check_mode
        self.paths: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def bring(self, entry: dict[str, Any]) -> None:
        """Write one entry; fail with the name of whatever blocks it."""
        path = Path(self._module.params["base"]) / entry["path"]
        try:
            changed: bool = getattr(self, f"_{entry['state']}")(path, entry)
            # New entries as well, because of the umask. In check mode there may be nothing yet, or a link.
            there = {"directory": Path.is_dir, "file": _is_file}.get(entry["state"])
            if there and there(path):
                changed |= self._attributes(path, entry, shown=changed)
        except OSError as error:
            self._module.fail_json(msg=f"cannot write {path}: {error.strerror or error}")
        if changed:
            self.paths.append(str(path))

    def _file(self, path: Path, entry: dict[str, Any]) -> bool:
        if path.is_dir():
            self._module.fail_json(msg=f"{path} is a folder, but a file is required; move it away")
        # The target of a link may be confidential and must not appear in a diff: it is replaced unread.
        before = path.read_bytes() if _is_file(path) else None
        after = (entry["content"] or "").encode()
        if before is not None and (entry["keep"] or before == after):
            return False
        if max(len(before or b""), len(after)) > _LARGEST_DIFF:
            self._differs(path, f"{len(before or b'')} bytes", f"{len(after)} bytes")
        else:
            self._diff(path, (before or b"").decode(errors="replace"), after.decode())
        self._replace(path, after, entry)
        return True

    def _replace(self, path: Path, content: bytes, entry: dict[str, Any]) -> None:
        """Write a draft next to the file and rename it, so that nobody reads an incomplete file."""
        if self._dry:
            return
        draft = _draft(path)
        draft.unlink(missing_ok=True)  # of a run that was killed
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if entry["validated"] and self._module.params["validate"]:
                self._judge(path, draft)
            old = path.lstat() if _is_file(path) else None
            self._attributes(draft, entry, shown=True, like=old)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)

    def _judge(self, path: Path, draft: Path) -> None:
        command = [part.replace("%s", str(draft)) for part in shlex.split(self._module.params["validate"])]
        code, output, errors = self._module.run_command(command)
        if code:
            said = [line.strip() for line in f"{output}\n{errors}".splitlines() if line.strip()]
            reason = " | ".join(said[-_REASONS:]) or "no reason given"
            self._module.fail_json(msg=f"{path} would be invalid: {reason}")

    def _directory(self, path: Path, entry: dict[str, Any]) -> bool:
        if path.is_dir():  # also a link to a folder on another disk
            return False
        if os.path.lexists(path):
            self._module.fail_json(msg=f"{path} exists and is not a folder; move it away")
        self._differs(path, "absent", "a folder")
        if not self._dry:
            path.mkdir(mode=int(entry["mode"] or "0755", 8), parents=True)
        return True

    def _link(self, path: Path, entry: dict[str, Any]) -> bool:
        before = str(path.readlink()) if path.is_symlink() else None
        if before == entry["target"]:
            return False
        if before is None and os.path.lexists(path):
            self._module.fail_json(msg=f"{path} exists and is not a link; move it away")
        self._differs(path, f"a link to {before}" if before else "absent", f"a link to {entry['target']}")
        if not self._dry:
            draft = _draft(path)
            draft.unlink(missing_ok=True)
            draft.symlink_to(entry["target"])
            draft.rename(path)
        return True

    def _absent(self, path: Path, _entry: dict[str, Any]) -> bool:
        if not os.path.lexists(path):
            return False
        self._differs(path, "present", "absent")
        if not self._dry:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return True

    def _attributes(
        self, path: Path, entry: dict[str, Any], *, shown: bool, like: os.stat_result | None = None
    ) -> bool:
        """Set mode, owner and group if they differ; unspecified ones are kept, or copied from `like`.

        `shown`: a diff already reports that the path changes. Files are changed through a descriptor that
        does not follow links, so a service that owns the folder cannot redirect this to another file.
        """
        follow = 0 if entry["state"] == "directory" else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | follow)
        try:
            before = _of(os.fstat(descriptor))
            after = (_of(like) if like else before) | self._wanted(entry)
            if before == after:
                return False
            if not shown:
                self._differs(path, _in_words(before), _in_words(after))
            if not self._dry:
                os.fchown(descriptor, after["owner"], after["group"])
                os.fchmod(descriptor, after["mode"])
            return True
        finally:
            os.close(descriptor)

    def _wanted(self, entry: dict[str, Any]) -> dict[str, int]:
        wanted = {"mode": int(entry["mode"], 8)} if entry["mode"] else {}
        for attribute, look_up in (("owner", _user), ("group", _group)):
            try:
                wanted |= {attribute: look_up(entry[attribute])} if entry[attribute] else {}
            except KeyError:
                if not self._dry:  # in check mode, an account that a run would create may still be missing
                    self._module.fail_json(msg=f"{attribute} {entry[attribute]} does not exist on this host")
        return wanted

    def _differs(self, path: Path, before: str, after: str) -> None:
        self._diff(path, f"{before}\n", f"{after}\n")

    def _diff(self, path: Path, before: str, after: str) -> None:
        sides = {"before_header": str(path), "after_header": str(path)}
        self.diffs.append(sides | {"before": before, "after": after})


def _is_file(path: Path) -> bool:
    return path.exists() and not path.is_symlink()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


def _of(told: os.stat_result) -> dict[str, int]:
    return {"mode": stat.S_IMODE(told.st_mode), "owner": told.st_uid, "group": told.st_gid}


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _in_words(attributes: dict[str, int]) -> str:
    return f"mode {attributes['mode']:04o}, owner {attributes['owner']}, group {attributes['group']}"


def main() -> None:
    """Write every entry and return the changes."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    files = HostFiles(module)
    for entry in module.params["entries"]:
        files.bring(entry)
    answer: dict[str, Any] = {"changed": bool(files.paths), "paths": files.paths}
    if files.diffs:
        answer["diff"] = files.diffs
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
