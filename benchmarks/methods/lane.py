"""LANE on the fixed splits: the aligned model, its backbone, and the controls that say where a gain comes from.

Preference texts are consumer facts in the template's words, from training events alone (`preference_sets.py`), so no
language model is asked: requests are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr

from benchmarks.lr.splits import load_split
from benchmarks.methods.lists import SPLIT, Judge, Ranked, means, table
from benchmarks.methods.preference_sets import CHECKPOINTS, Preferences, kept_preferences
from benchmarks.methods.sequences import CHOSEN as BACKBONES
from benchmarks.methods.sequences import on_valid, wanted
from benchmarks.ranking import Events, read_events
from benchmarks.record import write_result
from features.errors import InputError
from features.settings import BenchFolders
from features.types import content_hash
from models.backbones.attention import Alignment, TextSets
from models.backbones.histories import Scores
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.expert import SequenceConfig
from models.backbones.sequences.network import (
    Kind,
    ProductTable,
    SequenceNetwork,
    make_encoder,
    random_rows,
    text_rows,
)
from models.backbones.sequences.ranking import HeldOut, log_chances
from models.backbones.sequences.training import train
from models.backbones.sequences.windows import asked
from models.base import FitReport, MethodConfig, RunContext
from models.explanations.steps import cosine_fitness
from models.text import TextEncoder
from models.training import n_parameters, seeded

M = 5
"""Preferences per consumer (m)."""
N_EXPLAINED = 100
"""Consumers whose explanations are measured, as many as in the reference run."""


class Settings(MethodConfig):
    """Of the alignment; the backbone has its own."""

    heads: int = 4
    dropout: float = 0.2


SETTINGS = dict.fromkeys(("ml-100k", "amazon-musical-instruments", "amazon-beauty"), Settings())


@dataclass(frozen=True)
class Variant:
    """What a run has other than the method."""

    start: str = "text"
    """What product vectors start from: `text` or `random`; `frozen` texts stay."""
    preferences: str = "dated"
    """`dated`, `static` (as published), `other` (another consumer's) or `none`."""
    uniform: bool = False
    """Every preference with the same weight."""
    encoder: Kind = "sasrec"


VARIANTS = {
    "backbone": Variant("random", "none"),
    "title_table": Variant("text", "none"),
    "lane": Variant(),
    "lane_static": Variant(preferences="static"),
    "lane_mean": Variant(uniform=True),
    "lane_other": Variant(preferences="other"),
    "lane_random_table": Variant("random"),
    "lane_frozen_table": Variant("frozen"),
}
"""`title_table` is the backbone that starts from titles, without alignment."""
RUN = {
    "ml-100k": ("backbone", "title_table", "lane", "lane_other"),
    **dict.fromkeys(
        ("amazon-musical-instruments", "amazon-beauty"),
        ("backbone", "title_table", "lane", "lane_static", "lane_mean", "lane_other", "lane_random_table"),
    ),
}
"""What is run on a dataset: on the larger one, the controls that a gain is claimed over."""
SWAPPED = "lane_swapped"
"""The trained `lane`, asked with other consumers' preferences."""


@dataclass(frozen=True, eq=False)
class Given:
    """What all variants share."""

    events: Events
    titles: NDArray[np.float32]
    preferences: Preferences
    held_out: HeldOut


def run(dataset: str, folders: BenchFolders, seeds: int, variants: tuple[str, ...], valid: bool) -> str:
    """Trains each variant with each seed, and returns what was written or measured."""
    given = read_given(dataset, folders)
    chosen = {name: VARIANTS[name] for name in variants or RUN[dataset]}
    if valid:
        made = partial(_fitted, given, dataset)
        return on_valid(made(name, it, seed) for seed in range(seeds) for name, it in chosen.items())
    judge = Judge(dataset, "lane", folders, given.events)
    rows = [kept_row(given, judge, name, it, seed) for seed in range(seeds) for name, it in chosen.items()]
    if variants:
        return table(rows)
    lanes = [read_lane(given, dataset, judge.output / f"lane-{seed}.safetensors") for seed in range(seeds)]
    swapped = partial(_swapped, given, dataset)
    trained_from = made_from(dataset, VARIANTS["lane"])
    rows += [judge.kept(SWAPPED, n, trained_from, partial(swapped, it, n)) for n, it in enumerate(lanes)]
    others = [name for name in (*chosen, SWAPPED) if name != "lane"]
    figures = {
        "dataset": dataset,
        "split": SPLIT,
        "fitted_on": "train",
        "preferences": {
            "m": M,
            "worded_by": "template",
            "requests": 0,
            "sets": len(given.preferences.texts),
            "of_texts": sum(map(bool, given.preferences.texts)),
        },
        "config": {"backbone": BACKBONES[dataset]["sasrec"].model_dump(), "alignment": SETTINGS[dataset].model_dump()},
        "means": means(rows),
        "rows": rows,
        "lane_minus": {other: [judge.minus("lane", other, seed) for seed in range(seeds)] for other in others},
        "minus_peers": {name: judge.minus_peers(name, 0) for name in ("lane", "backbone")},
        "explanations": [_explained(given, dataset, network) for network in lanes],
    }
    return write_result(f"methods/lane-{dataset}", figures).read_text()


def read_given(dataset: str, folders: BenchFolders) -> Given:
    """Of a dataset, with its preferences."""
    events, split = read_events(folders.bench, folders.data, dataset, SPLIT), load_split(dataset, SPLIT, folders)
    named = split.train.catalog.products.set_index("product_id")["title"]
    encoder = TextEncoder()
    titles = encoder.encode([str(named.get(product, "")) for product in events.products])
    preferences = kept_preferences(split, events, titles, encoder, M)
    return Given(events, titles, preferences, HeldOut(events.histories("train"), wanted(events, "valid")))


def kept_row(given: Given, judge: Judge, name: str, variant: Variant, seed: int) -> dict[str, Any]:
    """The row of a variant and seed; it is trained, and its weights left, unless that was done."""
    make = partial(_fitted, given, judge.dataset, name, variant, seed, judge.output)
    return judge.kept(name, seed, made_from(judge.dataset, variant), make)


def _fitted(given: Given, dataset: str, name: str, variant: Variant, seed: int, folder: Path | None = None) -> Ranked:
    """A variant at its best epoch on valid, asked after everything before test; its weights are left in the folder."""
    config = BACKBONES[dataset][variant.encoder]
    histories, context = given.events.histories("train"), RunContext(seed=seed)
    with seeded(seed):
        network = _network(given, variant, config, SETTINGS[dataset])
    if isinstance(network, AlignedNetwork):
        network.known = _known(given, variant, seed)
    judge = given.held_out
    fit = train(network, histories, config.length, config, context, lambda: judge.ndcg(network, config.length))
    if folder is not None:
        save_file(network.state_dict(), folder / f"{name}-{seed}.safetensors")
    return Ranked(name, seed, lists_of(given, network, config), fit)


def made_from(dataset: str, variant: Variant) -> str:
    """Hash of everything that a run was made from but its seed."""
    backbone, settings = BACKBONES[dataset][variant.encoder].model_dump(), SETTINGS[dataset].model_dump()
    return content_hash(asdict(variant), backbone, settings, M, CHECKPOINTS)


def read_lane(given: Given, dataset: str, path: Path) -> AlignedNetwork:
    """The network of `lane` that a run left."""
    variant = VARIANTS["lane"]
    network = _network(given, variant, BACKBONES[dataset][variant.encoder], SETTINGS[dataset])
    if not isinstance(network, AlignedNetwork):
        raise InputError("The variant `lane` has no alignment.")
    network.load_state_dict(load_file(path))
    network.known = given.preferences.known
    return network.eval()


def _swapped(given: Given, dataset: str, network: AlignedNetwork, seed: int) -> Ranked:
    """The same network where each consumer has another one's preferences."""
    network.known = given.preferences.of_others(given.events.histories("train"), seed)
    scores = lists_of(given, network, BACKBONES[dataset]["sasrec"])
    network.known = given.preferences.known
    return Ranked(SWAPPED, seed, scores, FitReport(0, 0, (), 0.0, n_parameters(network)))


def _network(given: Given, variant: Variant, config: SequenceConfig, settings: Settings) -> SequenceNetwork:
    d, content = config.embedding_size, torch.from_numpy(given.titles)
    start = random_rows(len(content), d) if variant.start == "random" else text_rows(content, d)
    table = ProductTable(len(content), d, start, trained=variant.start != "frozen")
    encoder = make_encoder(variant.encoder, config)
    if variant.preferences == "none":
        return SequenceNetwork(table, encoder)
    alignment = Alignment(d, content.shape[1], settings.heads, settings.dropout, variant.uniform)
    return AlignedNetwork(table, encoder, alignment)


def _known(given: Given, variant: Variant, seed: int) -> KnownTexts:
    histories, preferences = given.events.histories("train"), given.preferences
    if variant.preferences == "static":
        return preferences.static(histories)
    return preferences.of_others(histories, seed) if variant.preferences == "other" else preferences.known


def lists_of(given: Given, network: SequenceNetwork, config: SequenceConfig) -> Scores:
    return log_chances([network], given.events.histories("train", "valid"), config.length)


def _explained(given: Given, dataset: str, network: AlignedNetwork) -> dict[str, Any]:
    """Whether weights and texts say what the scores say, over consumers with preferences.

    `alignment`: rank correlation, over the products, of the sum of weight times fitness with the score (mean over
    consumers, and how many are above 0), beside that of another consumer's preferences. `deletion`: rank correlation,
    over a consumer's preferences, of weight with how far the best product's score moves without the preference.
    """
    length = BACKBONES[dataset]["sasrec"].length
    consumers = [who for who, at in enumerate(given.preferences.latest) if len(given.preferences.texts[at]) == M]
    chosen = np.random.default_rng(0).permutation(consumers)[:N_EXPLAINED]
    question = asked(given.events.histories("train", "valid"), length)
    own, strange, deleted = [], [], []
    for number, who in enumerate(chosen):
        place = torch.tensor([given.preferences.latest[who]])
        some = question.rows(slice(who, who + 1))
        scores, weights = _asked(network, some, given.preferences.sets, place)
        own.append(_agreement(given, weights, place, scores))
        stranger = torch.tensor([given.preferences.latest[chosen[number - 1]]])
        strange.append(_agreement(given, weights, stranger, scores))
        deleted.append(_deletion(network, some, given.preferences.sets.rows(place), scores, weights))
    return {
        "consumers": len(chosen),
        "alignment": _summary(own),
        "alignment_of_others": _summary(strange),
        "deletion": _summary(deleted),
    }


def _asked(network: AlignedNetwork, question: Any, sets: TextSets, place: torch.Tensor) -> tuple[Any, Any]:
    """Scores (P,) of one consumer, and the mean weight over heads of each preference (m,)."""
    with torch.inference_mode():
        states, weights = network.last_with(question, sets, place)
        scores = network.logits(states[0], torch.arange(network.table.n_products))[0]
    return scores.numpy(), weights.mean((0, 1, 2)).numpy()


def _agreement(given: Given, weights: Any, place: torch.Tensor, scores: Any) -> float:
    keys = given.preferences.sets.keys[place[0]].numpy()
    fitness = np.stack([cosine_fitness(given.titles, key) for key in keys])  # (m, P): a cosine has no sides
    return float(spearmanr(weights @ fitness, scores).statistic)


def _deletion(network: AlignedNetwork, question: Any, sets: TextSets, scores: Any, weights: Any) -> float:
    best, moved = int(scores.argmax()), []
    for number in range(M):
        without = sets.log_weights.clone()
        without[0, number] = -torch.inf
        left, _ = _asked(network, question, TextSets(sets.keys, without), torch.zeros(1, dtype=torch.int64))
        moved.append(abs(left[best] - scores[best]))
    return float(spearmanr(weights, moved).statistic)


def _summary(values: Sequence[float]) -> dict[str, float]:
    known = np.array([value for value in values if np.isfinite(value)])
    spread = known.std() / max(1, len(known)) ** 0.5
    return {
        "mean": round(float(known.mean()), 4),
        "standard_error": round(float(spread), 4),
        "share_above_0": round(float((known > 0).mean()), 4),
    }
