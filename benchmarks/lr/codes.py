"""The texts of a split as vectors, codes and tables of the feature views.

Vectors are kept in the lake by text, codes by everything they were made from; the autoencoder is fine-tuned on texts
of the training period alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.texts import CodedBy, TextSet, text_set
from benchmarks.lr.wording import split_facts
from features.as_of import TextTables
from features.batch import CODE_WIDTH, CONTENT_WIDTH
from features.lake import Lake
from features.records import to_frame
from features.settings import HostSettings
from features.types import Fact, content_hash
from models.backbones.autoencoder import Autoencoder, AutoencoderConfig, train_autoencoder
from models.base import Progress, RunContext, silent
from models.explanations.codes import Coder, Encode, facet_codes, pair_codes, product_content, topics

SEED = 0
REPORT = "report.json"
"""Beside an autoencoder: what tuning it reached."""


class RandomProjection:
    """Text vectors (N, d_t) times a fixed random matrix, each row scaled to mean 0 and deviation 1: (N, d_e).

    The control of the fine-tuned autoencoder, whose codes end in a LayerNorm likewise.
    """

    def __init__(self, seed: int = SEED) -> None:
        self.matrix = np.random.default_rng(seed).normal(size=(CONTENT_WIDTH, CODE_WIDTH)).astype(np.float32)

    @property
    def content_hash(self) -> str:
        """Changes with the matrix."""
        return content_hash(self.matrix.tobytes().hex())

    def codes(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codes of text vectors."""
        projected = vectors @ self.matrix
        centred = projected - projected.mean(1, keepdims=True)
        return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-6), np.float32)


def text_tables(split: BenchSplit, name: str, settings: HostSettings, progress: Progress = silent) -> TextTables:
    """The set of that name (`benchmarks/lr/texts.py`) as tables of the views of texts."""
    lake, chosen = Lake(settings.lake), text_set(split, name, Lake(settings.lake))
    encode = _encoder(lake, progress)
    told = [_content(chosen.facets), *([_content(chosen.pairs)] if len(chosen.pairs) else [])]
    made_from = content_hash(*told, chosen.coded_by, AutoencoderConfig().model_dump())

    @cache
    def coded() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        coder = _coder(split, chosen, settings, encode, progress)
        return *facet_codes(chosen.facets, encode, coder), pair_codes(chosen.pairs, encode, coder)

    folder = f"benchmark/{split.key}/{name}"
    consumers = lake.kept(f"{folder}/consumer_facets", made_from, lambda: coded()[0])
    products = lake.kept(f"{folder}/product_facets", made_from, lambda: coded()[1])
    content = lake.kept(
        f"benchmark/{split.dataset}/product_content",
        content_hash(_content(split.train.catalog.products), _content(split.train.catalog.attributes)),
        lambda: product_content(split.train.catalog, encode),
    )
    pairs = lake.kept(f"{folder}/pair_codes", made_from, lambda: coded()[2])
    return TextTables(consumers, products, content, pairs)


def reconstruction(split: BenchSplit, name: str, settings: HostSettings) -> dict[str, float]:
    """Held-out reconstruction loss of the set's own autoencoder before and after it was tuned (after `text_tables`)."""
    folder = _folder(split, text_set(split, name, Lake(settings.lake)), settings)
    figures: dict[str, float] = json.loads((folder / REPORT).read_text())
    return figures


def _encoder(lake: Lake, progress: Progress) -> Encode:
    from models.text import TextEncoder, encode_unique

    encoder = TextEncoder()
    return lambda texts: encode_unique(lake, encoder, texts, progress)


def _coder(split: BenchSplit, chosen: TextSet, settings: HostSettings, encode: Encode, progress: Progress) -> Coder:
    if chosen.coded_by is CodedBy.PROJECTION:
        return RandomProjection()
    own = chosen.coded_by is CodedBy.OWN
    tuned_on = chosen if own else text_set(split, "model", Lake(settings.lake))
    about = _topics(split, tuned_on, Lake(settings.lake))
    return _autoencoder(tuned_on.distinct, about, _folder(split, tuned_on, settings), encode, progress)


def _topics(split: BenchSplit, chosen: TextSet, lake: Lake) -> dict[str, str]:
    """What texts are about, where they rest on facts."""
    if "fact_ids" not in chosen.facets:
        return {}
    resting = chosen.facets.dropna(subset="fact_ids")
    return topics(resting, to_frame(split_facts(split, lake), Fact))


def _autoencoder(texts: list[str], about: Mapping[str, str], folder: Path, encode: Encode, progress: Progress) -> Coder:
    """The autoencoder fine-tuned on those texts, fitted once; its report lies beside it."""
    if not folder.exists():
        run = RunContext(seed=SEED, progress=progress)
        known = [about.get(text, "") for text in texts]
        autoencoder, report = train_autoencoder(encode(texts), AutoencoderConfig(), run, known)
        half = folder.with_suffix(".half")
        half.mkdir(parents=True, exist_ok=True)
        autoencoder.save(half)
        figures = {"texts": len(texts), "before": report.before, "after": report.after, "reduction": report.reduction}
        (half / REPORT).write_text(json.dumps(figures))
        half.rename(folder)
    return Autoencoder.load(folder)


def _folder(split: BenchSplit, tuned_on: TextSet, settings: HostSettings) -> Path:
    made_from = content_hash(tuned_on.distinct, AutoencoderConfig().model_dump())
    return settings.home / "benchmark" / split.key / f"autoencoder-{made_from[:12]}"


def _content(frame: pd.DataFrame) -> str:
    return content_hash(frame.astype(str).to_csv(index=False))
