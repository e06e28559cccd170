"""The parts of the GPU check, most valuable first: the budget may end before the last one begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part: `module` has `run(context) -> dict`; `limits_s` are seconds on a GPU and on a CPU."""

    name: str
    module: str
    what: str
    limits_s: tuple[float, float]

    def limit_s(self, device: str) -> float:
        """Seconds after which the part is killed on this device."""
        return self.limits_s[0 if device == "cuda" else 1]


PARTS = (
    Part(
        name="recordings",
        module="benchmarks.gpu.recordings",
        what="nvidia-smi, devices, sysfs and kernel log; hardware detection on them",
        limits_s=(60, 45),
    ),
    Part(
        name="burn-in",
        module="benchmarks.gpu.burn_in",
        what="the role's burn-in against floors and known rates",
        limits_s=(60, 90),
    ),
    Part(
        name="training",
        module="benchmarks.gpu.training",
        what="MFU of a 1B Llama in our training loop",
        limits_s=(170, 240),
    ),
    Part(
        name="resume",
        module="benchmarks.gpu.resume",
        what="interrupted and resumed training, bit for bit",
        limits_s=(90, 240),
    ),
    Part(
        name="engine",
        module="benchmarks.gpu.engine",
        what="tokens per second of the torch engine",
        limits_s=(200, 150),
    ),
    Part(
        name="nccl",
        module="benchmarks.gpu.nccl",
        what="NCCL with a world of one",
        limits_s=(60, 60),
    ),
    Part(
        name="cuinit",
        module="benchmarks.gpu.cuinit",
        what="cuInit under restrictions of services",
        limits_s=(90, 60),
    ),
)
"""In the order in which they run."""
