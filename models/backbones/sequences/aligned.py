"""A sequence model whose states attend over texts about their consumer.

Source: LANE (Zhao et al., arXiv 2407.02833), architecture IV and V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from features.errors import TrainingError
from models.backbones.attention import Alignment, Attended, TextSets
from models.backbones.histories import Histories, Numbers
from models.backbones.sequences.encoders import Asks, Encoder
from models.backbones.sequences.network import ProductTable, SequenceNetwork
from models.backbones.sequences.windows import Asked


@dataclass(frozen=True, eq=False)
class KnownTexts:
    """Which set of texts was known of a consumer before each of their events, and after the last.

    Training reads the set of the event that is asked for, so that no text has seen it, where sets are dated.
    """

    sets: TextSets  # S
    at: Tensor  # (E + C,) set before event 0, 1, ... of each consumer, and after the last
    first: Tensor  # (C,) where a consumer's entries start in `at`
    events: Tensor  # (C,) how many events a consumer has

    @classmethod
    def of(cls, sets: TextSets, histories: Histories, before: Numbers, after: Numbers) -> KnownTexts:
        """From the set before each event (E,), in the order of the histories, and after each consumer's last (C,)."""
        first = histories.start[:-1] + np.arange(len(after))
        events = np.diff(histories.start)
        at = np.insert(before, histories.start[1:], after)
        return cls(sets, *map(torch.from_numpy, (at, first, events)))

    def place(self, consumer: Tensor, event: Tensor) -> Tensor:
        """(B, T) sets before events (B, T) of consumers (B,).

        Places before a history count as its first event, events after it as the next one.
        """
        known = torch.minimum(event.clamp(min=0), self.events[consumer].unsqueeze(1))
        return self.at[self.first[consumer].unsqueeze(1) + known]

    def to(self, device: str) -> KnownTexts:
        """The same on a device."""
        return KnownTexts(self.sets.to(device), self.at.to(device), self.first.to(device), self.events.to(device))


class AlignedNetwork(SequenceNetwork):
    """Features -> alignment with the consumer's texts -> products. `known` is needed to train and to ask by number."""

    def __init__(self, table: ProductTable, encoder: Encoder, alignment: Alignment) -> None:
        super().__init__(table, encoder)
        self.alignment = alignment
        self.known: KnownTexts | None = None

    def states(self, asked: Asked) -> Tensor:
        """Aligned states (B, T, d) of consumers whose texts are known."""
        return self.attended(asked).mixed

    def attended(self, asked: Asked) -> Attended:
        """The same with their weights."""
        known = self.known_texts
        return self.aligned(self.features(asked), known.sets, known.place(asked.consumer, self.event(asked)))

    @property
    def known_texts(self) -> KnownTexts:
        """`known`. Raises TrainingError if it was not set."""
        if self.known is None:
            raise TrainingError("An aligned network was asked by number without texts.", remedy="Set `known` first.")
        return self.known

    def event(self, asked: Asked) -> Tensor:
        """(B, T): the event that each place asks for; a masked place is counted, and is what is asked for."""
        return asked.known_events - int(self.encoder.asks is Asks.MASKED)

    def last_with(self, asked: Asked, sets: TextSets, place: Tensor) -> Attended:
        """The states (B, 1, d) from which the next product is chosen, for anybody with the sets at places (B,)."""
        features = self.features(self.question(asked))[:, -1:]
        return self.aligned(features, sets, place.unsqueeze(1))

    def aligned(self, features: Tensor, sets: TextSets, place: Tensor) -> Attended:
        """Features (B, T, d) aligned with the sets at their places (B, T)."""
        result: Attended = self.alignment(features, sets, place)
        return result
