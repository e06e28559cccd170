"""Our training loop, set up on a model of random weights and on rows of random tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from benchmarks.gpu.models import Shape, random_model
from scenario_model.data.packing import Packed
from scenario_model.train.adapters import add_adapters
from scenario_model.train.attention import use_packed_attention
from scenario_model.train.batches import Batches
from scenario_model.train.checkpoint import Checkpoints, Progress
from scenario_model.train.loop import Training, make_optimizer
from scenario_model.train.model import LossModel, trainable
from scenario_model.train.parallel import Strategy, World, spread
from scenario_model.train.run import flops_per_token
from scenario_model.train.settings import Recipe

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_STEPS = 32
"""More than are ever made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A configuration: `lora` or `full`, layers compiled or not, under FSDP or not, deterministic or not."""

    method: str
    compiled: bool = False
    fsdp: bool = False
    deterministic: bool = True

    @property
    def name(self) -> str:
        """In words, for the table."""
        words = ["LoRA rank 16" if self.method == "lora" else "full"]
        words += ["compiled"] if self.compiled else []
        words += ["FSDP of one"] if self.fsdp else []
        words += [] if self.deterministic else ["not deterministic"]
        return ", ".join(words)

    @property
    def profiled(self) -> bool:
        """Whether a profile of one step is recorded."""
        return self == Job(method="full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A loop that is ready to step; `flops_per_token` without attention's products."""

    training: Training
    flops_per_token: float
    parameters: int


def build(job: Job, context: Context, shape: Shape, *, length: int, rows: int, per_step: int) -> Built:
    """Set the loop up with `rows` sequences in a micro-batch and `per_step` micro-batches in a step."""
    device = torch.device(context.device)
    recipe = Recipe(
        method="lora" if job.method == "lora" else "full",
        sequence_length=length,
        tokens_per_step=length * rows * per_step,
        micro_batch=rows,
    )
    world = World(0, 1, device)
    model = _model(job, recipe, shape, device, bf16=context.gpu)
    flops, parameters = flops_per_token(model), sum(each.numel() for each in model.parameters())
    if job.compiled:
        _compile_layers(model, context)
    strategy: Strategy = "single"
    if job.fsdp:
        strategy = "fsdp"
        _join_alone(context)
    wrapped = spread(model, strategy, world)
    trained = trainable(model)
    training = Training(
        recipe=recipe,
        batches=Batches.of(_rows(shape.vocabulary, length, rows * per_step * _STEPS), recipe),
        model=wrapped,
        parameters=trained,
        optimizer=make_optimizer(trained, recipe),
        checkpoints=Checkpoints(context.scratch / "no-checkpoints", world, strategy),
        progress=Progress(),
        reporter=None,
        world=world,
        flops_per_token=flops,
        peak_flops=None,
    )
    return Built(training=training, flops_per_token=flops, parameters=parameters)


def close() -> None:
    """Leave the process group of one, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _model(job: Job, recipe: Recipe, shape: Shape, device: torch.device, *, bf16: bool) -> LossModel:
    """As `scenario_model.train.model.load_model` makes it, without a foundation model on a disk."""
    frozen = torch.bfloat16 if bf16 and job.method == "lora" else torch.float32
    model = random_model(shape, device, frozen)
    use_packed_attention(model)
    if job.method == "lora":
        model = add_adapters(model, recipe)
    model.train()
    return LossModel(model, bf16=bf16, direct_head=True)


def _compile_layers(model: LossModel, context: Context) -> None:
    """Compile every layer. On a CPU it is only traced: inductor's C++ would take longer than the rest."""
    layers = max((each for each in model.modules() if isinstance(each, torch.nn.ModuleList)), key=len)
    for layer in layers:
        layer.compile(backend="inductor" if context.gpu else "aot_eager")


def _join_alone(context: Context) -> None:
    store: Any = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("nccl" if context.gpu else "gloo", store=store, rank=0, world_size=1)


def _rows(vocabulary: int, length: int, count: int) -> Packed:
    """`count` sequences of random tokens, each one document."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, vocabulary, (count, length + 1), generator=generator)
    positions = torch.arange(length).expand(count, length)
    return Packed(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), positions.contiguous())
