"""Lists a store: releases with their gates' verdicts, channels with their history."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scenario_model.errors import Refused
from scenario_model.release import channel as channels
from scenario_model.release.names import ReleaseId, is_name
from scenario_model.release.verify import MANIFEST
from scenario_model.signing.signature import signed_files
from scenario_model.signing.tree import SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.store import Store


def listing(
    store: Store, key: ec.EllipticCurvePublicKey | None, *, name: str | None, channel: str | None
) -> dict[str, Any]:
    """All releases and channels of a store as plain JSON types; `name` and `channel` filter it.

    With a key, signatures are checked and each item has its fault in `problem`, if any; weights are not
    hashed here: `verify` does that. Without one, `signed` is null: nothing was checked.
    """
    heads = [_head(store, key, *where) for where in _channels(store, name, channel)]
    releases = [_release(store, key, release) for release in _releases(store, name)]
    for entry in releases:
        entry["channels"] = [head["channel"] for head in heads if head["release"] == entry["release"]]
    releases.sort(key=lambda entry: (str(entry["created"]), entry["release"]))
    return {"releases": releases, "channels": heads}


def table(found: dict[str, Any]) -> str:
    """The listing for people."""
    lines = []
    for entry in found["releases"]:
        verdict = {True: "passed", False: "FAILED", None: "no verdict"}[entry["passed"]]
        where = ", ".join(entry["channels"]) or "-"
        trust = {True: "signature fits", False: "NOT VERIFIED", None: "not checked"}[entry["signed"]]
        lines.append(
            f"{entry['release']}\n    {entry['created'] or '?'}  gate {verdict}  {trust}  channels: {where}"
        )
        if entry["problem"]:
            lines.append(f"    {entry['problem']}")
    for head in found["channels"]:
        lines.append(f"\n{head['name']} / {head['channel']} -> {head['release'] or 'nothing'}")
        if head["problem"]:
            lines.append(f"    {head['problem']}")
        for step in head["history"]:
            moved = f"{step['sequence']:4d}  {step['at']}  {step['action']:8s}  {step['release'][:40]}…"
            lines.append(f"    {moved}  by {step['by']}")
    return "\n".join(lines) or "the store is empty"


def _releases(store: Store, name: str | None) -> list[ReleaseId]:
    names = [name] if name else [child for child in store.children("releases") if is_name(child)]
    return [
        ReleaseId(each, child.replace("sha256-", "sha256:"))
        for each in names
        for child in store.children(f"releases/{each}")
        if child.startswith("sha256-")
    ]


def _channels(store: Store, name: str | None, channel: str | None) -> list[tuple[str, str]]:
    names = [name] if name else [child for child in store.children("channels") if is_name(child)]
    return [
        (each, child)
        for each in names
        for child in store.children(f"channels/{each}")
        if is_name(child) and channel in (None, child)
    ]


def _release(store: Store, key: ec.EllipticCurvePublicKey | None, release: ReleaseId) -> dict[str, Any]:
    manifest: dict[str, Any] = {}
    problem = None
    try:
        content = store.read(f"{release.key}/{MANIFEST}")
        bundle = store.read(f"{release.key}/{SIGNATURE}")
        if content is None or bundle is None:
            raise Refused(f"{MANIFEST if content is None else SIGNATURE} is missing")
        digest = hashlib.sha256(content).hexdigest()
        if key is not None and signed_files(bundle, key).get(MANIFEST) != digest:
            raise Refused("content differs from what was signed", where=MANIFEST)
        parsed = json.loads(content)
        manifest = parsed if isinstance(parsed, dict) else {}
    except Refused as refusal:
        problem = str(refusal)
    except (ValueError, RecursionError):
        problem = f"{MANIFEST} is not JSON"
    evaluation = manifest.get("evaluation")
    evaluation = evaluation if isinstance(evaluation, dict) else {}
    return {
        "release": str(release),
        "created": manifest.get("created"),
        "passed": evaluation.get("passed"),
        "reasons": evaluation.get("reasons", []),
        "signed": None if key is None else problem is None,
        "problem": problem,
    }


def _head(store: Store, key: ec.EllipticCurvePublicKey | None, name: str, channel: str) -> dict[str, Any]:
    try:
        entries = channels.history(store, name, channel, key)
        problem = None
    except Refused as refusal:
        entries, problem = [], str(refusal)
    return {
        "name": name,
        "channel": channel,
        "release": entries[-1].release if entries else None,
        "signed": None if key is None else problem is None,
        "problem": problem,
        "history": [asdict(entry) for entry in entries],
    }
