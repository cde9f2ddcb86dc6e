"""How a model is asked to word facts: with examples and a long opening, or, once tuned, with a short lead.

Which of the two is decided by the model's identity alone: the revision of a tuned model names its adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.types import EntityKind, Fact, ModelIdentity, Stance
from features.wording import Wording
from models.explanations import fewshot
from models.explanations.leads import lead, pair_lead

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

    def opening(self, fact: Fact, stance: Stance, wording: Wording) -> str:
        """The prescribed start of a fact's sentence; it fixes the subject and the stance."""
        return lead(fact, stance) if self.tuned else fewshot.opening(fact, wording)

    @property
    def pair_system(self) -> str:
        """The text shared by all requests about pairs."""
        return TUNED_SYSTEM if self.tuned else fewshot.PAIR_SYSTEM

    def pair_prompt(self, title: str, facts: Sequence[Fact], stance: Stance) -> str:
        """What a pair's prompt says: a fact of the consumer and one of the product, or one of the product alone."""
        if not self.tuned:
            return fewshot.pair_prompt(title, facts, stance)
        if len(facts) == 1:
            return self.about(facts[0], stance)
        return f"pair {stance}: {title}\n" + "\n".join(f"{fact.entity_kind}: {fact.text}" for fact in facts)

    def pair_opening(self, title: str, facts: Sequence[Fact], stance: Stance) -> str:
        """The prescribed start of a pair's reason."""
        if not self.tuned:
            return fewshot.pair_opening(stance)
        return pair_lead(title, stance, facts) if len(facts) > 1 else lead(facts[0], stance)


FEW_SHOT, TUNED = PromptStyle(tuned=False), PromptStyle(tuned=True)

PROMPTS = {"consumer_facets": fewshot.CONSUMER_SYSTEM, "product_facets": fewshot.PRODUCT_SYSTEM}
PROMPTS |= {"pairs": fewshot.PAIR_SYSTEM, "tuned": TUNED_SYSTEM}
"""The shared part of every prompt, by kind of request; an artifact carries them."""


def style_of(identity: ModelIdentity) -> PromptStyle:
    """How the model of that identity is asked."""
    return TUNED if ADAPTER_MARK in identity.revision else FEW_SHOT
