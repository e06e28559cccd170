"""Tiny models of random weights of every causal architecture that transformers has, and what becomes of each.

`python -m tests.model.model_import.architectures TOKENIZER` writes docs/models.md, with the tokenizer of a folder.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scenario_model.data.documents import Document
from scenario_model.data.packing import pack
from scenario_model.errors import ScenarioModelError
from scenario_model.foundation.importer import import_foundation
from scenario_model.foundation.loading import load_directory
from scenario_model.model_import.trial import try_out
from scenario_model.serve.engine.model import Model
from scenario_model.serve.engine.settings import TorchSettings
from scenario_model.train.batches import Batches
from scenario_model.train.model import load_model, save_trained, trainable
from scenario_model.train.settings import Recipe

DOCUMENT = Path(__file__).parents[3] / "docs" / "models.md"
# Sizes by the names that configurations use; a name that a configuration lacks is left out.
_SIZES = (
    dict.fromkeys(
        ("hidden_size", "n_embd", "d_model", "embedding_size", "word_embed_proj_dim", "embedding_dim"), 32
    )
    | dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "decoder_ffn_dim"), 48)
    | dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers"), 2)
    | dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4)
    | dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2)
    | dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 512)
    | dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "mamba_n_heads"), 4)
    | dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "mamba_d_head"), 16)
    | dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim", "head_dim"), 8)
    | dict.fromkeys(("state_size", "mamba_d_state", "linear_key_head_dim", "linear_value_head_dim"), 8)
    | {"num_experts_per_tok": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 2, "rotary_dim": 4}
    | {
        "qk_rope_head_dim": 4,
        "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 0,
        "mamba_n_groups": 1,
    }
    | dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "num_hidden_groups"), 1)
)
# Parts of these keep their real size, whatever the configuration's usual names say.
_EVERY_FOURTH = ("qwen3_5", "qwen3_next", "qwen4")  # their fourth layer attends, the others are recurrent
_LARGE = ("blt", "phi4_multimodal")
_OPTIONAL = ("q_lora_rank", "n_inner", "head_dim")
# What these need beside, by their own rules.
_OWN: dict[str, dict[str, Any]] = {
    "dots1": {"n_shared_experts": 1},
    "kimi_linear": {"num_experts_per_token": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "longcat_flash": {"head_dim": 4},
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "ministral": {"head_dim": 8},
    "zamba2": {"layer_types": ["mamba", "hybrid"], "num_mem_blocks": 1, "hybrid_layer_ids": [1]},
    "zaya": {"num_experts_per_tok": 1},
}
RECIPE = Recipe(rank=2, sequence_length=64, tokens_per_step=128, micro_batch=2, learning_rate=1e-2)


def causal_types() -> list[str]:
    """Every architecture that `AutoModelForCausalLM` knows."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def write_tiny(model_type: str, tokenizer: Any, folder: Path) -> Path:
    """Write a model of an architecture, so small that it trains in a second, and a tokenizer beside it."""
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    whole = CONFIG_MAPPING[model_type]().get_text_config()
    known = whole.to_dict()
    sizes = {
        name: size
        for name, size in _SIZES.items()
        if name in known
        and not isinstance(known[name], dict)
        and not (known[name] is None and name in _OPTIONAL)
    }
    if "kv_lora_rank" in known:  # latent attention has as many heads of keys as of queries
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
        sizes.pop("head_dim", None)  # it follows from the others
    sizes |= _OWN.get(model_type, {})
    if model_type.startswith(_EVERY_FOURTH):
        sizes["num_hidden_layers"] = 4
    ends = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = type(whole)(**sizes, vocab_size=len(tokenizer), **ends)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            # Far enough from zero that what attention does shows in the output.
            torch.nn.init.normal_(parameter, std=0.2) if parameter.dim() > 1 else None
        with torch.no_grad():
            model.eval()(input_ids=torch.arange(16).unsqueeze(0), use_cache=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Row:
    """What becomes of an architecture: each is "yes", or why not."""

    model_type: str
    imports: str
    trains: str = "-"
    serves: str = "-"

    def __str__(self) -> str:
        return f"| {self.model_type} | {self.imports} | {self.trains} | {self.serves} |"


def outcome(model_type: str, tokenizer: Any, folder: Path) -> Row:
    """Import a tiny model, train a step, and serve the result, with every check that there is."""
    if model_type in _LARGE:
        return Row(model_type, "not tried: it has no small form here")
    try:
        source = write_tiny(model_type, tokenizer, folder / "source")
    except Exception as error:  # noqa: BLE001 - configurations have sizes of many names
        return Row(model_type, f"not tried: no tiny model of it is made here ({type(error).__name__})")
    try:
        record, _ = import_foundation(source, folder / "foundation", max_perplexity=1e300, try_out=try_out)
    except ScenarioModelError as error:
        return Row(model_type, _short(error.what))
    _train(folder / "foundation", tokenizer, folder / "trained")
    serves = "yes"
    try:
        Model(folder / "trained", TorchSettings(weights="fp32", max_sequences=1))
    except ScenarioModelError as error:
        serves = _short(error.what)
    assert (serves == "yes") == (not record["serving_obstacle"]), f"import said: {record['serving_obstacle']}"
    return Row(model_type, "yes", "yes", serves)


def _train(foundation: Path, tokenizer: Any, out: Path) -> None:
    """A step of training; what is saved has the loss that training says, document by document, in plain torch."""
    documents = [
        Document(str(n), f"Document {n} tells of {n} rivers and of towns. " * (n + 1)) for n in range(3)
    ]
    packed = pack(documents, tokenizer, RECIPE.sequence_length)
    (batch,) = list(Batches.of(packed, RECIPE).micro_batches(0, 0, 1))[:1]
    model = load_model(foundation, RECIPE, bf16=False)
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.1)
    model(batch).backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        said = float(model(batch))
    out.mkdir()
    save_trained({n: p.detach() for n, p in trainable(model).items()}, foundation, RECIPE, out)
    plain, expected, start = load_directory(out).model.float(), 0.0, 0
    for length in batch.lengths:
        part = slice(start, start + length)
        with torch.no_grad():
            logits = plain(input_ids=batch.tokens[:, part], use_cache=False).logits[0].float()
        expected += float(
            torch.nn.functional.cross_entropy(
                logits, batch.targets[0, part], ignore_index=-100, reduction="sum"
            )
        )
        start += length
    assert abs(said - expected) <= 2e-3 * abs(expected), f"training said {said}, the saved model {expected}"


def _short(reason: str) -> str:
    """One line for the table; how far an answer is off differs from run to run."""
    reason = re.sub(r"answers are \S+ nats from", "answers are not", reason)
    return reason.replace("|", "/").replace("\n", " ")[:160]


_HEAD = """# Models

What becomes of each causal architecture of transformers {version}: imported, trained (adapters, a step, packed texts)
and served by the bundled engine, tried with a tiny model of random weights by
`tests/model/model_import/test_architectures.py`: one of each family in `make test`, all in `make soak`. An import tries
the same with the model itself, and refuses by name what cannot be trained here. vLLM serves more than this engine.

Of {count} architectures, {trained} can be trained and {served} of those served by the bundled engine.

| architecture | import | training | bundled engine |
|---|---|---|---|
"""


def main() -> None:
    """Write the document."""
    from transformers.utils import logging

    from scenario_model.tokens.loading import load_tokenizer

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer, rows = load_tokenizer(Path(sys.argv[1])), []
    for model_type in causal_types():
        with tempfile.TemporaryDirectory() as folder:
            rows.append(outcome(model_type, tokenizer, Path(folder)))
        print(rows[-1], file=sys.stderr, flush=True)
    head = _HEAD.format(
        version=importlib.metadata.version("transformers"),
        count=len(rows),
        trained=sum(row.trains == "yes" for row in rows),
        served=sum(row.serves == "yes" for row in rows),
    )
    DOCUMENT.write_text(head + "".join(f"{row}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
