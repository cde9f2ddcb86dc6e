"""How a model is asked to word facts: with examples and a long opening, or, once tuned, with a short lead.

Which of the two is decided by the model's identity alone: the revision of a tuned model names its adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.types import EntityKind, Fact, ModelIdentity, ShownFact, Slot, Stance
from features.wording import Wording
from models.explanations import fewshot
from models.explanations.leads import lead

ADAPTER_MARK = "+"
"""Stands in a revision between the weights' hash and the adapter's: `a2f6f0c1b2d3+5e0c9d77aa10`."""
TUNED_SYSTEM = "Reword the fact."


@dataclass(frozen=True)
class PromptStyle:
    """One way of asking; the same facts, sides and gates in both."""

    tuned: bool

    def system(self, kind: EntityKind) -> str:
        """The text shared by all requests about consumers, or about products."""
        return TUNED_SYSTEM if self.tuned else fewshot.SYSTEMS[kind]

    def about(self, fact: Fact, stance: Stance) -> str:
        """What a line's own prompt says."""
        return f"{fact.entity_kind} {stance}: {fact.text}" if self.tuned else f"Fact: {fact.text}"

    def slot(self, fact: Fact, stance: Stance, label: str, max_tokens: int, wording: Wording) -> Slot:
        """One line about one fact; its prescribed start fixes the subject and the stance."""
        opening = lead(fact, stance) if self.tuned else fewshot.opening(fact, wording)
        return Slot(opening, max_tokens, self.about(fact, stance), stance, (label,))

    @property
    def pair_system(self) -> str:
        """The text shared by all requests about pairs."""
        return TUNED_SYSTEM if self.tuned else fewshot.PAIR_SYSTEM

    def pair_prompt(self, title: str, facts: Sequence[Fact], stance: Stance) -> str:
        """What a pair's prompt says, beside what its lines say."""
        return "" if self.tuned else fewshot.pair_prompt(title, facts, stance)

    def pair_slots(self, facts: Sequence[Fact], stance: Stance, max_tokens: int) -> tuple[Slot, ...]:
        """The lines of a pair's reason: one about each fact for a tuned model, else one about them all.

        Tuned to put two facts into one sentence, the small model mixed up who said and rated what.
        """
        labels = [shown.label for shown in shown_facts(facts)]
        if not self.tuned:
            return (Slot(fewshot.pair_opening(stance), max_tokens, stance=stance, cites=tuple(labels)),)
        return tuple(
            self.slot(fact, own_side(fact), label, max_tokens, Wording())
            for fact, label in zip(facts, labels, strict=True)
        )


def shown_facts(facts: Sequence[Fact]) -> tuple[ShownFact, ...]:
    """Facts as a request shows them."""
    return tuple(ShownFact(f"F{n}", fact.text) for n, fact in enumerate(facts, 1))


def own_side(fact: Fact) -> Stance:
    """The side a fact takes; a neutral one says what something is, and so speaks for it."""
    return Stance.AGAINST if fact.polarity < 0 else Stance.FOR


FEW_SHOT, TUNED = PromptStyle(tuned=False), PromptStyle(tuned=True)

PROMPTS = {"consumer_facets": fewshot.CONSUMER_SYSTEM, "product_facets": fewshot.PRODUCT_SYSTEM}
PROMPTS |= {"pairs": fewshot.PAIR_SYSTEM, "tuned": TUNED_SYSTEM}
"""The shared part of every prompt, by kind of request; an artifact carries them."""


def style_of(identity: ModelIdentity) -> PromptStyle:
    """How the model of that identity is asked."""
    return TUNED if ADAPTER_MARK in identity.revision else FEW_SHOT
