"""One stack, driven by plain `pulumi`: initialise it, and recover it after a killed run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bootstrap.console import detail, say
from cli import PROJECT, ROOT, CliError, kubeconfigs
from cli.processes import end_stray_processes, is_pulumi, run_to_its_end
from cli.stack_files import FOLDER, SALT
from cli.state import BACKEND, STATE, is_ours
from cli.virtualenv import VENV

if TYPE_CHECKING:
    from pathlib import Path


POLICIES = ("--policy-pack", str(ROOT / "policies" / "pack"))
"""Arguments of every update: the rules that it has to keep."""

_OUR_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)
_PROVIDER = re.compile(r"^secretsprovider:\s*(\S+)", re.MULTILINE)
_LOCK = re.compile(r"created by (.+)$", re.MULTILINE)


_OR_A_KEY = (
    "; or let a key encrypt its secrets: PULUMI_OPTION_SECRETS_PROVIDER=awskms://alias/NAME?region=REGION"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack of this project, and the environment that `pulumi` runs in.

    `in_cloud`: it has resources in a cloud.
    """

    name: str
    environment: dict[str, str] = field(repr=False)
    in_cloud: bool = False

    @property
    def settings(self) -> Path:
        """The stack's file: what the user edits."""
        return FOLDER / f"Pulumi.{self.name}.yaml"

    @property
    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        if self._in_our_backend:
            return (BACKEND / ".pulumi" / "stacks" / PROJECT / f"{self.name}.json").is_file()
        listed = json.loads(self._answer(["pulumi", "stack", "ls", "--json", "--non-interactive"]).stdout)
        return any(each["name"].rpartition("/")[2] == self.name for each in listed)

    @property
    def _in_our_backend(self) -> bool:
        """Whether its state is in our state folder; if not, the files there do not concern it."""
        return is_ours(self.environment)

    def pulumi(self, *arguments: str, check: bool = True) -> int:
        """Run a `pulumi` command on this stack; its output goes to the user unchanged."""
        shown = sys.stdin.isatty() and sys.stdout.isatty()
        command = self._command(arguments, shown=shown)
        detail(f"running {shlex.join(command)}")
        with self._temporary_files() as environment:
            status = run_to_its_end(
                command, cwd=ROOT, environment=environment, stdin=None if shown else subprocess.DEVNULL
            )
        if check and status:
            raise CliError(f"`pulumi {arguments[0]} --stack {self.name}` failed; see its output above")
        return status

    def _temporary_files(self) -> contextlib.AbstractContextManager[dict[str, str]]:
        environment = self.full_environment()
        if self.in_cloud:
            return kubeconfigs.swept(environment, STATE / "temporary" / self.name)
        return contextlib.nullcontext(environment)

    def ask(self, *arguments: str) -> Any:
        """Run a `pulumi` command that prints JSON. Its output may contain secrets and is never shown."""
        return json.loads(self._answer(self._command(arguments)).stdout)

    def _answer(self, command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the stack's environment, with `given` on its standard input."""
        done = self._tried(command, given)
        if done.returncode:
            raise CliError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-800:]}")
        return done

    def _tried(self, command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Do the same for a command that may fail."""
        detail(f"running {shlex.join(command)}")
        return subprocess.run(  # noqa: S603
            command,
            cwd=ROOT,
            env=self.full_environment(),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    def _command(self, arguments: tuple[str, ...], *, shown: bool = False) -> list[str]:
        """On a terminal Pulumi draws its live tree; elsewhere it prints lines, without progress dots."""
        plain = ["--non-interactive"]
        if arguments[0] in {"up", "refresh", "destroy"}:
            plain.append("--suppress-progress")
        return ["pulumi", *arguments, "--stack", self.name, *([] if shown else plain)]

    def full_environment(self) -> dict[str, str]:
        """Return the caller's and the engine's variables; with our passphrase set, any other one is left out."""
        inherited = dict(os.environ)
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in self.environment:
            inherited.pop("PULUMI_CONFIG_PASSPHRASE", None)
        return {**inherited, **self.environment}

    def create(self) -> None:
        """Create the stack in the backend, and add its salt to the stack's file.

        `pulumi stack init` writes a salt into the stack's file and reformats all of it. So it runs in a
        throw-away project of the same name, and only the salt's line is copied to the real file.
        """
        aside = STATE / "init"
        if not self.exists:
            self._forget_foreign_salt()
            self._init(aside)
        elif not self._in_our_backend:
            # Perhaps by another machine. Pulumi itself adds to the file what the state says.
            if self._salt not in {"", self._salt_of_state()}:
                self._forget_foreign_salt()
            return
        salted = aside / self.settings.name
        text = self.settings.read_text(encoding="utf-8")
        if salted.exists():
            said = [found[0].strip() for found in SALT.finditer(salted.read_text(encoding="utf-8"))]
            missing = [line for line in said if line.partition(":")[0] not in _keys(text)]
            separator = "" if text.endswith("\n") else "\n"
            if missing:
                self.settings.write_text(text + separator + "".join(f"{line}\n" for line in missing), "utf-8")

    def _init(self, aside: Path) -> None:
        """Create the stack from a throw-away project in the folder `aside`."""
        aside.mkdir(exist_ok=True)
        (aside / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
        (aside / self.settings.name).unlink(missing_ok=True)
        command = ["pulumi", "stack", "init", self.name, "--non-interactive", "--cwd", str(aside)]
        if provider := _PROVIDER.search(self.settings.read_text(encoding="utf-8")):
            command += ["--secrets-provider", provider[1]]
        done = self._tried(command)
        if done.returncode:
            key = "" if self._in_our_backend else _OR_A_KEY
            raise CliError(f"`pulumi stack init {self.name}` failed: {done.stderr.strip()}{key}")

    def _forget_foreign_salt(self) -> None:
        """Remove the salt of another state, which would only lock us out."""
        text = self.settings.read_text(encoding="utf-8")
        if not _OUR_SALT.search(text):
            return
        if re.search(r"^\s+secure:", text, re.MULTILINE):
            raise CliError(
                f"{self.settings} contains secrets of another state, whose passphrase is not here; restore that "
                ".state, set its PULUMI_BACKEND_URL, or remove the `secure:` values and the `encryptionsalt` line"
            )
        self.forget_salt()
        say(f"state: removed the salt of another state from {self.settings.name}")

    @property
    def _salt(self) -> str:
        """The salt in the stack's file."""
        found = _OUR_SALT.search(self.settings.read_text(encoding="utf-8"))
        return found[0].partition(":")[2].strip() if found else ""

    def _salt_of_state(self) -> str:
        """Return the salt that the backend keeps with the state; none if a key encrypts its secrets."""
        kept = self.deployment().get("secrets_providers") or {}
        return str((kept.get("state") or {}).get("salt", ""))

    def forget_salt(self) -> None:
        """Remove the salt from the stack's file, which is then as before; the state folder keeps it."""
        text = self.settings.read_text(encoding="utf-8")
        if _OUR_SALT.search(text):
            self.settings.write_text(_OUR_SALT.sub("", text), encoding="utf-8")

    def recover(self) -> None:
        """Recover the stack after a killed run, logging each step; do nothing after an orderly one.

        Raises CliError if another update is in progress, or has left its lock in a backend of the user's.
        """
        stale = self._stale_locks() if self._in_our_backend else self._no_locks()
        self._sweep()
        end_stray_processes(self.environment["PULUMI_HOME"])
        if stale:
            say(f"recovery: a killed run left {len(stale)} lock(s) on {self.name}: pulumi cancel")
            self.pulumi("cancel", "--yes")
        pending = self.deployment().get("pending_operations") or []
        if pending and self.in_cloud:
            self._import_pending()
        if pending:
            names = ", ".join(
                f"{each['type']} {each['resource']['urn'].rsplit('::')[-1]}" for each in pending
            )
            say(
                f"recovery: pending creates with unknown outcome: {names}: "
                "pulumi refresh --clear-pending-creates"
            )
            self.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")

    def _sweep(self) -> None:
        """Remove files that a killed run left half-written: drafts of the state, and metadata, which Pulumi
        accepts only when complete (an earlier version of ours enabled it)."""
        drafts = (BACKEND / ".pulumi" / "stacks" / PROJECT).glob(f"{self.name}.json*.tmp")
        for path in (*drafts, *BACKEND.rglob("*.attrs")):
            path.unlink(missing_ok=True)

    def _import_pending(self) -> None:
        """Import into the state what the killed run created in AWS without recording it; may take minutes."""
        export = self._command(("stack", "export"))
        before = self._answer(export).stdout
        command = [str(VENV / "bin" / "python"), "-m", "recovery.aws.import_pending"]
        # Files, as it logs while it waits and nobody empties a pipe then.
        with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as made:
            given.write(before)
            given.seek(0)
            with subprocess.Popen(  # noqa: S603
                command,
                cwd=ROOT,
                env=self.full_environment(),
                stdin=given,
                stdout=made,
                stderr=subprocess.PIPE,
                text=True,
            ) as run:
                for line in run.stderr or ():
                    say(f"recovery: {line.rstrip()}")
            if run.returncode:
                raise CliError("what the killed run created in AWS is not in the state yet; see above")
            made.seek(0)
            after = made.read()
        if self._answer(export).stdout != before:
            raise CliError(f"another run has changed {self.name} meanwhile; run this again")
        self._answer(self._command(("stack", "import")), after)

    def _no_locks(self) -> list[Path]:
        """Refuse a stack that is locked in a backend of the user's: whether that run still lives is seen only where
        it was started.

        Pulumi refuses to rename a stack to its own name, but first names the locks, if there are any.
        """
        if self.environment["PULUMI_BACKEND_URL"].startswith("http"):
            return []  # a service, which knows its runs
        tried = self._tried([*self._command(("stack", "rename", self.name))])
        if holders := ", ".join(_LOCK.findall(tried.stderr)):
            raise CliError(
                f"{self.name} is locked by {holders}; wait for that run or, if it was killed, release the stack: "
                f'eval "$(make -s env STACK={self.name})"; pulumi cancel --yes --stack {self.name}'
            )
        return []

    def _stale_locks(self) -> list[Path]:
        locks = sorted((BACKEND / ".pulumi" / "locks").rglob(f"{PROJECT}/{self.name}/*.json"))
        for lock in locks:
            try:
                holder = json.loads(lock.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # half written by the killed run
            if holder.get("hostname") == os.uname().nodename and is_pulumi(int(holder.get("pid", 0))):
                raise CliError(
                    f"pulumi (process {holder['pid']}) is updating {self.name}; wait for it, or stop it"
                )
        return locks

    def deployment(self) -> dict[str, Any]:
        """Return the stack's state from the backend; secrets stay encrypted."""
        exported = self.ask("stack", "export") if self.exists else {}
        found = exported.get("deployment") or {}
        return found if isinstance(found, dict) else {}

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets in plain text: for this process only, never print them."""
        found = self.ask("stack", "output", "--json", "--show-secrets")
        return found if isinstance(found, dict) else {}


def _keys(text: str) -> set[str]:
    """Return the top-level keys of a stack's file."""
    return {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
