"""vLLM's command line and environment, which keep it private, offline and quiet.

Names follow https://docs.vllm.ai/en/stable/cli/serve/ and https://docs.vllm.ai/en/stable/configuration/env_vars/.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.serve.vllm.settings import InstalledVllm

_DTYPES = {"auto": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
# These would make it load code from outside its environment.
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "VLLM_API_KEY")


def require(settings: InstalledVllm) -> None:
    """Raise InputError if the environment has no vLLM."""
    if not (settings.environment / "bin" / "vllm").exists():
        raise InputError(
            f"no vLLM in {settings.environment}",
            where="engine.environment",
            remedy="set it to a Python environment with vLLM (requirements/vllm.lock)",
        )


def arguments(model_dir: Path, settings: InstalledVllm, socket: Path) -> list[str]:
    """Return program and arguments.

    No `--trust-remote-code`: it is off by default. The end tokens of the model's `generation_config.json`
    apply, but not its sampling (temperature, penalties, …), as in the bundled engine.
    """
    return [
        str(settings.environment / "bin" / "python"),
        str(settings.environment / "bin" / "vllm"),
        "serve",
        str(model_dir),
        f"--uds={socket}",
        "--load-format=safetensors",
        "--generation-config=vllm",
        f"--dtype={_DTYPES[settings.dtype]}",
        f"--max-model-len={settings.max_context or -1}",
        f"--max-num-seqs={settings.max_sequences}",
        f"--gpu-memory-utilization={settings.gpu_memory_utilization}",
        f"--tensor-parallel-size={settings.tensor_parallel}",
        "--no-enable-log-requests",
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    ]


def environment(settings: InstalledVllm, private: Path, cache: Path) -> dict[str, str]:
    """Return vLLM's environment: the server's own, without telemetry, writing only to two folders.

    private: for sockets and the like, private to this process. cache: for compiled code, kept between starts.
    """
    own = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    return own | {
        "PATH": f"{settings.environment / 'bin'}{os.pathsep}{own.get('PATH', os.defpath)}",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TMPDIR": str(private),
        "HOME": str(cache),
        "XDG_CACHE_HOME": str(cache),
        "XDG_CONFIG_HOME": str(cache),
        "HF_HOME": str(cache / "huggingface"),
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "VLLM_CONFIG_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "VLLM_LOGGING_COLOR": "0",
        "NO_COLOR": "1",
    }
