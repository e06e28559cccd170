"""`make bundle`: collect all that air-gapped hosts need, with digests, in one signed folder.

`python -m bundle [--cpu] [--vllm [LOCK]] [--to DIR] [--key FILE]`; needs a package registry. Use the bundle
by setting `bundle` and `bundle_key` for the playbooks, or `premises:bundle` and `premises:bundleKey` for
Pulumi.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from bootstrap import ToolError
from bootstrap.cache import exclusive
from bootstrap.console import run, say
from bundle import cpu_only, packages
from bundle.control_node import add_control_node
from bundle.signing import sign, signing_key
from bundle.wheels import REQUIREMENTS, ROOT, fetch, for_cpu, prove

_STATE = ROOT / ".state"
_VLLM_LOCK = REQUIREMENTS / "vllm.lock"
_KEY = _STATE / "bundle-key" / "bundle-signing.pem"


def collect(target: Path, private: Path, *, cpu: bool, vllm: Path | None = None) -> Path:
    """Build the bundle, and return the key that verifies it. An existing bundle is replaced only at the end.

    vllm: the lock of vLLM's environment, if hosts serve with vLLM. Raises BundleError.
    """
    aside = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "requirements").mkdir(parents=True)
    public = private.with_name("bundle-verification.pem")
    key = signing_key(private, public)
    locks = {name: (REQUIREMENTS / f"{name}.lock").read_text(encoding="utf-8") for name in ("model", "uv")}
    if cpu:
        locks["model"] = cpu_only.without_gpu(locks["model"])
    if vllm is not None:
        locks["vllm"] = vllm.read_text(encoding="utf-8")
    for name, lock in locks.items():
        say(f"bundle: {vllm if name == 'vllm' else f'requirements/{name}.lock'}")
        fetch(lock, aside / "wheels")
    if cpu:
        locks["model"] = for_cpu(locks["model"], aside / "wheels")
    say("bundle: the foundation model")
    locks["foundation"] = (REQUIREMENTS / "foundation.lock").read_text(encoding="utf-8")
    fetch(locks["foundation"], aside / "foundation")
    say("bundle: the balancer")
    packages.fetch(aside / "packages")
    say("bundle: packages for the control node")
    add_control_node(aside)
    say("bundle: Debian packages for the hosts themselves")
    packages.fetch_for_hosts(aside / "hosts")
    for name, lock in locks.items():
        (aside / "requirements" / f"{name}.lock").write_text(lock, encoding="utf-8")
    for name in locks.keys() - {"foundation"}:
        say(f"bundle: installing {name}.lock once, offline, as hosts will")
        prove(aside / "requirements" / f"{name}.lock", aside / "wheels")
    version = f"{sys.version_info.major}.{sys.version_info.minor}\n"
    (aside / "requirements" / "python-version").write_text(version, encoding="ascii")
    sign(aside, key)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    return public


def main() -> None:
    """Build the bundle, and print how to use it."""
    parser = argparse.ArgumentParser(
        prog="make bundle", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=_STATE / "bundle", metavar="DIR")
    parser.add_argument("--key", type=Path, default=_KEY, metavar="FILE")
    parser.add_argument("--cpu", action="store_true", help="hosts without a GPU: 0.9 GB instead of about 3")
    parser.add_argument(
        "--vllm",
        type=Path,
        nargs="?",
        const=_VLLM_LOCK,
        metavar="LOCK",
        help="include vLLM's environment: 6 GB more; LOCK: a lock other than requirements/vllm.lock",
    )
    arguments = parser.parse_args()
    if arguments.cpu and arguments.vllm == _VLLM_LOCK:
        parser.error(
            "--cpu is for hosts without a GPU, and requirements/vllm.lock for hosts with one; "
            "leave --cpu out, or name the lock of a CPU build: --vllm LOCK (make bundle CPU=yes VLLM=LOCK)"
        )
    target = arguments.to.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.with_name(f"{target.name}.lock"), "building the bundle"):
            public = collect(target, arguments.key.absolute(), cpu=arguments.cpu, vllm=arguments.vllm)
    except (ToolError, OSError) as error:
        sys.exit(f"make bundle: {error}")
    except KeyboardInterrupt:
        sys.exit("make bundle: interrupted; what was fetched is kept, and the next run resumes from there")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    say(f"the bundle is in {target}: {size / 1e9:.1f} GB, verified with {public}")
    say(f"  premises:bundle: {target}")
    say(f"  premises:bundleKey: {public}")


if __name__ == "__main__":
    run(main)
