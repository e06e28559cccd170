"""What the pods of these tests run in the model package's image: programs that speak as a training does."""

from __future__ import annotations

from typing import Any

from lab.images import reference

TRAINER = """
import json, os, sys, time
import torch, torch.distributed as dist

config = json.load(open("/config/job.json"))
assert os.getuid() == 65532
assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
for folder in ("/scratch", "/tmp", "/dev/shm"):
    open(os.path.join(folder, "probe"), "w").close()
try:
    open("/opt/probe", "w")
    sys.exit(2)
except OSError:
    pass
begun, steps = time.monotonic(), config["recipe"]["steps"]
dist.init_process_group("gloo")
try:
    for step in range(1, steps + 1):
        told = torch.full((1000,), float(dist.get_rank() + 1))
        dist.all_reduce(told)
        if dist.get_rank() == 0:
            figures = {"loss": 3 / step, "tokens_per_s": 1000.0, "seconds_left": steps - step}
            print(json.dumps({"step": step, "of": steps, **figures}), flush=True)
        time.sleep(0.25)
except RuntimeError as error:
    print("peers lost:", str(error).splitlines()[0], flush=True)
    os._exit(75)
if dist.get_rank() == 0:
    result = {"release": "sft@sha256:1f", "passed": True, "evaluation": {"sum": told.unique().tolist()}}
    seconds = time.monotonic() - begun
    print(json.dumps({"event": "released", **result, "tokens": 1000 * steps, "seconds": seconds}), flush=True)
dist.barrier()
dist.destroy_process_group()
"""

SMALL = {"cpu": "100m", "memory": "1Gi", "shared_memory": "64Mi", "scratch": "1Gi"}


def torchrun(*, steps: int, pods: int = 2) -> dict[str, Any]:
    """Workers that all-reduces in each of its steps."""
    return {
        "image": reference("model"),
        "pods": pods,
        "size": SMALL,
        "program": ["--no-python", "python3", "-uc", TRAINER],
        "recipe": {"steps": steps},
        "spread": False,  # the lab has one node that runs pods
        "grace_s": 2,
    }


def one_pod(code: str, **changes: Any) -> dict[str, Any]:
    """A pod that runs this and neither torch nor torchrun."""
    job = {"image": reference("model"), "pods": 1, "size": SMALL, "launcher": ["-uc", code], "program": []}
    return {**job, "grace_s": 1, **changes}
