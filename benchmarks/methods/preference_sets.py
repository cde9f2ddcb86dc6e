"""What LANE attends over on a fixed split: texts about each consumer, dated by the training events they rest on.

The texts are the platform's consumer facts in the template's words, strongest first; no language model is asked, so a
set can be made for every stretch of a history. A consumer of whom no fact is known gets the mean of the title vectors
so far, as one whose texts could not be generated would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from benchmarks.lr.splits import BenchSplit
from benchmarks.ranking import Events
from features.facts import EvidenceWindow, consumer_facts
from features.files import write_whole
from features.settings import HostSettings
from features.types import Fact, Interactions, content_hash
from features.wording import Wording
from models.backbones.attention import TextSets
from models.backbones.histories import Histories, Numbers
from models.backbones.sequences.aligned import KnownTexts
from models.explanations.facets import by_entity
from models.explanations.fewshot import template
from models.explanations.preferences import mean_preferences
from models.text import TextEncoder

CHECKPOINTS = (2, 4, 16, 64, 256)
"""After so many events a consumer's texts are made again, and once more after the last."""


@dataclass(frozen=True, eq=False)
class Preferences:
    """Every set of every consumer."""

    texts: tuple[tuple[str, ...], ...]  # S; empty where a mean stands for them
    sets: TextSets  # S
    known: KnownTexts
    """Each event with the set that was known before it."""
    latest: Numbers  # (U,) each consumer's last set

    def static(self, histories: Histories) -> KnownTexts:
        """Each event with its consumer's last set, which has seen the event: as published."""
        return KnownTexts.of(self.sets, histories, self.latest[histories.consumer], self.latest)

    def of_others(self, histories: Histories, seed: int) -> KnownTexts:
        """Each event with the set that another consumer had after as many events."""
        ring = np.random.default_rng(seed).permutation(len(self.latest))
        whose = np.empty_like(ring)
        whose[ring] = np.roll(ring, 1)  # nobody has their own
        event = torch.from_numpy(histories.place).unsqueeze(1)
        before = self.known.place(torch.from_numpy(whose[histories.consumer]), event).squeeze(1).numpy()
        return KnownTexts.of(self.sets, histories, before, self.latest[whose])


def make_preferences(
    split: BenchSplit, events: Events, titles: NDArray[np.float32], encoder: TextEncoder, m: int
) -> Preferences:
    """The sets of the training events of a split.

    Args:
        split: its training interactions, by time.
        events: the same split with numbers.
        titles: (P, w) vectors of the products' titles.
        encoder: of the texts, the same as of the titles.
        m: texts per set.
    """
    histories = events.histories("train")
    sizes = np.diff(histories.start)
    texts: list[tuple[str, ...]] = [()]
    means: list[NDArray[np.float32]] = [np.zeros((m, titles.shape[1]), np.float32)]
    at = np.zeros((len(histories), len(CHECKPOINTS) + 1), np.int64)  # set after each checkpoint, and after the last
    for column, n_events in enumerate((*CHECKPOINTS, int(sizes.max()))):
        known = _texts_after(split, n_events, m)
        due = np.flatnonzero(sizes >= n_events) if column < len(CHECKPOINTS) else np.arange(len(histories))
        for consumer in due:
            at[consumer, column] = len(texts)
            texts.append(known.get(str(events.consumers[consumer]), ()))
            first = histories.start[consumer]
            means.append(mean_preferences(titles[histories.product[first : first + min(n_events, sizes[consumer])]], m))
    passed = (histories.place[:, None] >= np.array(CHECKPOINTS)).sum(1)
    before = np.where(passed > 0, at[histories.consumer, np.maximum(passed - 1, 0)], 0)
    sets = _encoded(texts, means, encoder, m)
    latest = at[:, -1].copy()
    return Preferences(tuple(texts), sets, KnownTexts.of(sets, histories, before, latest), latest)


def kept_preferences(
    split: BenchSplit, events: Events, titles: NDArray[np.float32], encoder: TextEncoder, m: int
) -> Preferences:
    """As `make_preferences`, kept in the home: facts and vectors take longer than a fit on the small sets."""
    folder = HostSettings.from_environment().home / "preferences" / split.key
    made_from = content_hash(split.section.asks(), m, CHECKPOINTS, encoder.identity.revision)[:16]
    arrays, texts = folder / f"{made_from}.safetensors", folder / f"{made_from}.json"
    if not texts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = make_preferences(split, events, titles, encoder, m)
        latest = torch.from_numpy(made.latest)
        save_file({**made.sets._asdict(), "at": made.known.at, "latest": latest}, arrays)
        write_whole(texts, json.dumps(made.texts))
    found, histories = load_file(arrays), events.histories("train")
    sets, latest = TextSets(found["keys"], found["log_weights"]), found["latest"].numpy()
    ends = histories.start[1:] + np.arange(len(histories))
    known = KnownTexts.of(sets, histories, np.delete(found["at"].numpy(), ends), latest)
    return Preferences(tuple(map(tuple, json.loads(texts.read_text(encoding="utf-8")))), sets, known, latest)


def _texts_after(split: BenchSplit, n_events: int, m: int) -> dict[str, tuple[str, ...]]:
    """The m strongest facts of every consumer's first events, in words, by consumer."""
    frame = split.train.interactions.frame
    first = frame[frame.groupby("consumer_id").cumcount() < n_events].reset_index(drop=True)
    snapshot = replace(split.train, interactions=Interactions(first))
    wording = split.section.wording
    facts = consumer_facts(snapshot, EvidenceWindow(1.0, 1), wording)
    return {consumer: _worded(own, wording, m) for (_, consumer), own in by_entity(facts).items()}


def _worded(facts: Sequence[Fact], wording: Wording, m: int) -> tuple[str, ...]:
    strongest = sorted(facts, key=lambda fact: (-fact.weight, fact.fact_id))[:m]
    return tuple(template(fact, wording) for fact in strongest)


def _encoded(
    texts: Sequence[tuple[str, ...]], means: Sequence[NDArray[np.float32]], encoder: TextEncoder, m: int
) -> TextSets:
    """Sets as vectors; a text is encoded once, in however many sets it is."""
    distinct = list(dict.fromkeys(text for own in texts for text in own))
    vectors, place = encoder.encode(distinct), {text: n for n, text in enumerate(distinct)}
    keys, log_weights = np.stack(means), np.zeros((len(texts), m), np.float32)
    for number, own in enumerate(texts):
        if own:
            keys[number, : len(own)] = vectors[[place[text] for text in own]]
            log_weights[number, len(own) :] = -np.inf
    return TextSets(torch.from_numpy(keys), torch.from_numpy(log_weights))
