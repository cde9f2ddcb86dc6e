"""A recommendation explained in four steps, on the weights that acted in the ranking.

Source: LANE (Zhao et al., arXiv 2407.02833): (1) each preference with examples from the history, (2) how well the
product meets each, 0 to 1, (3) both put together as a low, medium or high chance, (4) the recommendation in words. The
weights come from the model, so a text may say what it likes about fitness, and nothing about them. Where no language
model is asked, or its answer fails, cosines of text vectors make a template of the same form. An answer may say what
the model knows of the things; it is held to its numbers, to the titles it was given, and to the gates that need no
evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.types import Completion, FinishReason, ModelIdentity, ShownFact, Slot, TextRequest
from models.explanations.gates import TEMPLATE, unshowable

KIND = "steps"
SYSTEM = """\
You explain, step by step, why a product is recommended to a person. Numbers that you are given stand as they are."""
PROMPT = """\
The facts are what the person chose before. Their preferences, and how much each weighed for this recommendation:
{preferences}
The product is {title}. First say for each preference, whatever its weight, which of the things chosen show it. Then \
say for each preference how well the product meets it, as a number from 0 to 1, and why. Then combine what weighs with \
what is met. Then recommend the product in one personal and objective sentence."""
SHOWN_IN, FITS, CHANCE, RECOMMENDED = "Preference {n} shows in", "Fitness to preference {n} is", "The chance is", "You"
SECTIONS = ("Preferences", "Fitness", "Chance", "Recommendation")
Chance = Literal["low", "medium", "high"]
MEDIUM_FROM, HIGH_FROM = 1 / 3, 2 / 3
EXAMPLES = 2
"""Titles of the history that stand for a preference in the template."""
_TOKENS = 60
_FITNESS = re.compile(r"^Fitness to preference \d+ is (?P<value>[01](?:\.\d+)?)\b[,:;.]?\s*(?P<reason>.*)$")
_CHANCE = re.compile(r"^The chance is (?P<chance>low|medium|high)\b")


@dataclass(frozen=True)
class Weighed:
    """A preference and its weight in the state that chose the product."""

    text: str
    weight: float


@dataclass(frozen=True, eq=False)
class Grounds:
    """What the four steps of one recommendation are made of."""

    preferences: tuple[Weighed, ...]
    """m of them, heaviest first (`by_weight`)."""
    fitness: tuple[float, ...]
    """(m,) of the product to each, by cosines."""
    history: tuple[str, ...]
    """T titles that the consumer chose, in order of time."""
    likeness: NDArray[np.floating]
    """(m, T) cosines of preferences and chosen things."""
    title: str
    """The product's."""


@dataclass(frozen=True)
class Steps:
    """An explanation; preferences are in order of their weight, heaviest first."""

    preferences: tuple[Weighed, ...]
    examples: tuple[str, ...]
    """Step 1: one sentence for each preference."""
    fitness: tuple[float, ...]
    """Step 2: 0 to 1 for each preference."""
    reasons: tuple[str, ...]
    """Step 2: one sentence for each preference."""
    chance: Chance
    """Step 3."""
    combined: str
    """Step 3 in words."""
    recommendation: str
    """Step 4."""
    model: str
    """Who worded it."""

    @property
    def met(self) -> float:
        """Sum of weight times fitness, 0 to 1."""
        return met(self.preferences, self.fitness)

    def text(self) -> str:
        """The four sections."""
        listed = enumerate(zip(self.preferences, self.examples, strict=True), 1)
        first = [f"{n}. {it.text} (weight {it.weight:.4f}). {example}" for n, (it, example) in listed]
        second = list(self.reasons)
        sections = (("Preferences", first), ("Fitness", second), ("Chance", [self.combined]))
        parts = [
            f"{name}\n" + "\n".join(lines) for name, lines in (*sections, ("Recommendation", [self.recommendation]))
        ]
        return "\n\n".join(parts)


def by_weight(texts: Sequence[str], weights: Sequence[float]) -> tuple[Weighed, ...]:
    """Preferences with the weights that acted, heaviest first."""
    weighed = [Weighed(text, float(weight)) for text, weight in zip(texts, weights, strict=True)]
    return tuple(sorted(weighed, key=lambda it: -it.weight))


def met(preferences: Sequence[Weighed], fitness: Sequence[float]) -> float:
    """Sum of weight times fitness."""
    return float(sum(it.weight * value for it, value in zip(preferences, fitness, strict=True)))


def chance_of(combined: float) -> Chance:
    """In words."""
    if combined < MEDIUM_FROM:
        return "low"
    return "medium" if combined < HIGH_FROM else "high"


def steps_request(grounds: Grounds, identity: ModelIdentity) -> TextRequest:
    """The request for one shown recommendation to the model of that identity."""
    listed = "\n".join(f"{n}. {it.text} (weight {it.weight:.4f})" for n, it in enumerate(grounds.preferences, 1))
    numbers = range(1, len(grounds.preferences) + 1)
    openings = [SHOWN_IN.format(n=n) for n in numbers] + [FITS.format(n=n) for n in numbers] + [CHANCE, RECOMMENDED]
    shown = tuple(ShownFact(f"F{n}", chosen) for n, chosen in enumerate(grounds.history, 1))
    slots = tuple(Slot(opening, _TOKENS) for opening in openings)
    prompt = PROMPT.format(preferences=listed, title=grounds.title)
    return TextRequest(KIND, f"steps for {grounds.title}", SYSTEM, prompt, slots, identity, facts=shown)


def read_steps(completion: Completion | None, grounds: Grounds) -> Steps | None:
    """The explanation in an answer to `steps_request`; None if it may not be shown.

    Refused is an answer that did not finish or does not keep to its form, one with a fitness outside 0 to 1 or a chance
    that is not the one that weights and fitness give (a text that argues against its own numbers explains nothing), one
    whose examples are of nothing that was chosen or whose recommendation is of another product, and one with a line
    that fails a gate.
    """
    if completion is None or completion.finish is not FinishReason.STOP:
        return None
    preferences, lines = grounds.preferences, completion.lines
    m = len(preferences)
    if len(lines) != 2 * m + 2 or not _about_what_was_shown(lines[:m], lines[-1], grounds) or _refused(lines, grounds):
        return None
    found, chance = [_FITNESS.match(line) for line in lines[m : 2 * m]], _CHANCE.match(lines[2 * m])
    fitness = tuple(float(match["value"]) for match in found if match is not None)
    if len(fitness) < m or max(fitness, default=0.0) > 1 or chance is None:
        return None
    expected = chance_of(met(preferences, fitness))
    if chance["chance"] != expected:
        return None
    return Steps(
        preferences, lines[:m], fitness, lines[m : 2 * m], expected, lines[2 * m], lines[-1],
        completion.model.name,
    )  # fmt: skip


def _about_what_was_shown(examples: Sequence[str], recommendation: str, grounds: Grounds) -> bool:
    """Whether each example names something that was chosen, and the recommendation the product."""
    return grounds.title in recommendation and all(any(it in line for it in grounds.history) for line in examples)


def _refused(lines: Sequence[str], grounds: Grounds) -> bool:
    """Whether a line fails a gate; what it says of preferences and titles is no echo of the instructions."""
    shown = "\n".join([*(it.text for it in grounds.preferences), *grounds.history, grounds.title])
    return any(unshowable(line, f"{SYSTEM}\n{PROMPT}", shown) for line in lines)


def template_steps(grounds: Grounds) -> Steps:
    """The same four steps without a language model; the things most like a preference are its examples."""
    preferences, fitness, examples = grounds.preferences, grounds.fitness, list[str]()
    for n, row in enumerate(grounds.likeness, 1):
        nearest = [grounds.history[place] for place in np.argsort(-row, kind="stable")[:EXAMPLES]]
        examples.append(f"{SHOWN_IN.format(n=n)} {' and '.join(nearest) or 'nothing that is known'}.")
    reasons = [f"{FITS.format(n=n)} {value:.2f}, by likeness of texts." for n, value in enumerate(fitness, 1)]
    combined = met(preferences, fitness)
    best = max(zip(preferences, fitness, strict=True), key=lambda pair: pair[0].weight * pair[1])[0]
    said = f"{CHANCE} {chance_of(combined)} by these preferences alone: weights and fitness add up to {combined:.2f}."
    recommendation = f"You may like {grounds.title}: what counted most is this: {best.text}"
    return Steps(
        preferences, tuple(examples), fitness, tuple(reasons), chance_of(combined), said, recommendation, TEMPLATE
    )  # fmt: skip


def cosine_fitness(preferences: NDArray[np.floating], product: NDArray[np.floating]) -> NDArray[np.float64]:
    """(m,) how well a product's text vector (w,) meets preferences (m, w): their cosine, 0 if they point apart."""
    length = np.linalg.norm(preferences, axis=1) * np.linalg.norm(product)
    return np.clip(preferences @ product / np.maximum(length, 1e-9), 0, 1).astype(np.float64)
