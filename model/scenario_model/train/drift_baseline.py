"""The baseline of drift detection, from all documents of a run: what its model was made for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scenario_model import atomic_io, logs
from scenario_model.data.documents import family_of, tokenize
from scenario_model.drift import baseline
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from scenario_model.data.documents import Document
    from scenario_model.train.plan import Plan

_MOST_FAMILIES = 1024


def keep_baseline(plan: Plan) -> None:
    """Write the baseline, unless it is there, or there are too few documents for one.

    Held-out documents are in it too: it does not judge the model. Of conversations, what is not learnt counts: that is
    what people will send.
    """
    path = plan.folder.root / baseline.FILE
    if path.is_file():
        return
    families: dict[str, list[Document]] = {}
    for document in (*plan.data.training, *plan.data.held_out):
        families.setdefault(family_of(document), []).append(document)
    chosen = sorted(families, key=lambda name: hashlib.sha256(name.encode()).digest())[:_MOST_FAMILIES]
    tokenizer = load_tokenizer(plan.settings.foundation)
    texts = [_read(families[name], tokenizer) for name in sorted(chosen)]
    made = baseline.make(texts, len(tokenizer))
    if made is None:
        logs.say(f"drift will not be detected: it takes {baseline.FEWEST_UNITS} documents of some length")
        return
    path.parent.mkdir(exist_ok=True)
    atomic_io.write_bytes(path, made.encoded())


def _read(documents: list[Document], tokenizer: object) -> list[int]:
    """Token ids of a family, of conversations those that a person wrote."""
    ids = []
    for document, tokens in zip(documents, tokenize(documents, tokenizer), strict=True):
        plain = document.spans is None
        if plain:
            # Without the token that ends it, which nobody sends.
            ids += tokens.ids[:-1]
        else:
            ids += [each for each, learnt in zip(tokens.ids, tokens.learnt, strict=True) if not learnt]
    return ids
