"""The texts of a split: the model's, and those of each control, all as frames of facets.

Every set has the same shape: facets of consumers and of products, for and against, in ranks. What differs is who wrote
them, from what, and whose they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import pandas as pd

from benchmarks.lr import controls
from benchmarks.lr.external import external_texts
from benchmarks.lr.pair_texts import read_pairs
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.summaries import summaries
from benchmarks.lr.wording import read_facets, split_facts
from features.lake import Lake
from features.records import to_frame
from features.types import Explanation, Facet, ModelIdentity
from flows.prepare import facet_config
from models.explanations.codes import product_texts
from models.explanations.facets import parse_facets
from models.explanations.gates import TEMPLATE


class CodedBy(StrEnum):
    """What turns a set's text vectors into codes."""

    OWN = "own"
    """An autoencoder fine-tuned on the set's own texts."""
    MODEL = "model"
    """The one fine-tuned on the model's texts of this split."""
    PROJECTION = "projection"
    """A random projection; nothing is fine-tuned."""


@dataclass(frozen=True, eq=False)
class TextSet:
    """Texts of consumers and products, one row each."""

    facets: pd.DataFrame
    """`entity_kind`, `entity_id`, `stance`, `rank`, `text`, `weight`, `evidence_time`."""
    coded_by: CodedBy = CodedBy.OWN
    from_ratings: bool = True
    """Whether training ratings are behind them, so that training rows that are evidence may not see them."""
    pairs: pd.DataFrame = field(default_factory=lambda: to_frame([], Explanation))
    """Texts that were bought for pairs; columns are the fields of `Explanation`."""

    @property
    def distinct(self) -> list[str]:
        """Every text once, in order."""
        return sorted({*self.facets["text"], *self.pairs["text"]})


def text_set(split: BenchSplit, name: str, lake: Lake) -> TextSet:
    """The set of that name (`TEXT_SETS`, `PAIR_SETS`). Raises InputError if its texts are not there yet."""
    return {**TEXT_SETS, **PAIR_SETS}[name](split, lake)


def _template(split: BenchSplit, lake: Lake) -> TextSet:
    facts = split_facts(split, lake)
    parsed = parse_facets(facts, {}, ModelIdentity(TEMPLATE, "1"), facet_config(split.section))
    return TextSet(to_frame(parsed.facets, Facet))


def _product_text(split: BenchSplit, lake: Lake) -> TextSet:
    texts = {product: [text] for product, text in product_texts(split.train.catalog).items()}
    return TextSet(controls.both_stances(texts), from_ratings=False)


def _external(split: BenchSplit, lake: Lake) -> TextSet:
    return TextSet(controls.both_stances(external_texts(split)), from_ratings=False)


def _combined(split: BenchSplit, lake: Lake) -> TextSet:
    model = read_facets(split, lake)
    others = controls.both_stances(external_texts(split))
    others = others.assign(rank=others["rank"] + model["rank"].max() + 1)
    return TextSet(pd.concat([model, others], ignore_index=True))


def _none(split: BenchSplit, lake: Lake) -> TextSet:
    return TextSet(controls.both_stances({}), CodedBy.PROJECTION, from_ratings=False)


def _bought(share: float, held_out: bool, split: BenchSplit, lake: Lake) -> TextSet:
    return TextSet(read_facets(split, lake), pairs=read_pairs(split, lake, share, held_out))


def _published(split: BenchSplit, lake: Lake) -> TextSet:
    return TextSet(controls.both_stances({}), pairs=read_pairs(split, lake, held_out=True))


TEXT_SETS: dict[str, Callable[[BenchSplit, Lake], TextSet]] = {
    "none": _none,
    "model": lambda split, lake: TextSet(read_facets(split, lake)),
    "template": _template,
    "hidden_titles": lambda split, lake: TextSet(controls.hidden_titles(read_facets(split, lake), split)),
    "summary": lambda split, lake: TextSet(summaries(split)),
    "product_text": _product_text,
    "external": _external,
    "combined": _combined,
    "shuffled": lambda split, lake: TextSet(controls.shuffled(read_facets(split, lake)), CodedBy.MODEL),
    "swapped": lambda split, lake: TextSet(controls.swapped(read_facets(split, lake)), CodedBy.MODEL),
    "random": lambda split, lake: TextSet(controls.random_words(read_facets(split, lake)), CodedBy.MODEL),
    "no_finetune": lambda split, lake: TextSet(read_facets(split, lake), CodedBy.PROJECTION),
}
"""What may be asked for.

`none`: no texts. `model`: the model's facets. `template`: the same facts worded by code. `hidden_titles`: `model` with
names of products and brands replaced by numbers. `summary`: what an entity is and did, neither for nor against.
`product_text`: title, attributes and description. `external`: texts that people or others' language models wrote of
products. `combined`: `model` and `external`. `shuffled`: each entity has another's texts. `swapped`: for is against.
`random`: words drawn from all texts. `no_finetune`: `model` without a trained autoencoder.
"""

BOUGHT_SHARES = (0.02, 0.05, 0.2, 1.0)

PAIR_SETS: dict[str, Callable[[BenchSplit, Lake], TextSet]] = {
    **{f"pairs@{share:g}": partial(_bought, share, False) for share in BOUGHT_SHARES},
    "pairs_all": partial(_bought, 1.0, True),
    "pairs_alone": _published,
}
"""Sets with texts of pairs (`benchmarks/lr/pair_texts.py`).

`pairs@0.05`: `model`, and the texts of the first 5 % of the training pairs; held-out pairs are composed. `pairs_all`:
`model`, and the texts of every pair, also of held-out ones. `pairs_alone`: the texts of every pair and no facets, as
published.
"""
