"""Explanations in four steps: their form, their numbers, what is refused, and the template that needs no model."""

from __future__ import annotations

import numpy as np
import pytest

from features.types import Claim, Completion, FinishReason
from models.explanations.gates import TEMPLATE
from models.explanations.steps import (
    SECTIONS,
    Grounds,
    Steps,
    Weighed,
    by_weight,
    chance_of,
    cosine_fitness,
    met,
    read_steps,
    steps_request,
    template_steps,
)
from models.llm.scripted import SCRIPTED

TEXTS = ("quiet puzzles", "space strategy", "short arcade games", "farming", "co-op with friends")
WEIGHTS = (0.356, 0.309, 0.104, 0.108, 0.123)
FITNESS = {"quiet puzzles": 0.9, "space strategy": 0.2, "short arcade games": 0.3, "farming": 0.1}
FITNESS |= {"co-op with friends": 0.7}
"""The numbers of the authors' worked example: weights of one consumer, fitness of one product."""
PREFERENCES = by_weight(TEXTS, WEIGHTS)
HISTORY = ("Portal", "Stellaris", "Tetris")
GROUNDS = Grounds(PREFERENCES, (0.5,) * 5, HISTORY, np.zeros((5, 3)), "Opus Magnum")


def lines(fitness: list[float] | None = None, chance: str = "medium") -> list[str]:
    values = fitness or [FITNESS[it.text] for it in PREFERENCES]
    return [
        *(f"Preference {n} shows in {HISTORY[n % 3]}." for n in range(1, 6)),
        *(f"Fitness to preference {n} is {value}, since it is so." for n, value in enumerate(values, 1)),
        f"The chance is {chance}, as the heaviest preference is met.",
        "You may enjoy Opus Magnum.",
    ]


def answer(texts: list[str], finish: FinishReason = FinishReason.STOP) -> Completion:
    return Completion("key", tuple(map(Claim, texts)), finish, 1, 1, 0.0, SCRIPTED)


def test_preferences_stand_in_the_order_of_their_weights() -> None:
    assert [it.weight for it in PREFERENCES] == [0.356, 0.309, 0.123, 0.108, 0.104]
    prompt = steps_request(GROUNDS, SCRIPTED).prompt
    places = [prompt.index(f"{it.text} (weight {it.weight:.4f})") for it in PREFERENCES]
    assert places == sorted(places)


def test_the_request_asks_each_step_of_each_preference() -> None:
    request = steps_request(GROUNDS, SCRIPTED)
    openings = [slot.opening for slot in request.slots]
    assert openings == [
        *(f"Preference {n} shows in" for n in range(1, 6)),
        *(f"Fitness to preference {n} is" for n in range(1, 6)),
        "The chance is",
        "You",
    ]
    assert tuple(fact.text for fact in request.facts) == HISTORY


def test_the_worked_example_comes_to_a_medium_chance() -> None:
    steps = read_steps(answer(lines()), GROUNDS)
    assert steps is not None
    assert steps.fitness == (0.9, 0.2, 0.7, 0.1, 0.3)
    assert steps.met == pytest.approx(0.356 * 0.9 + 0.309 * 0.2 + 0.104 * 0.3 + 0.108 * 0.1 + 0.123 * 0.7)
    assert steps.chance == "medium"
    assert steps.model == SCRIPTED.name


def test_the_text_has_four_sections_and_cites_only_listed_preferences() -> None:
    steps = read_steps(answer(lines()), GROUNDS)
    assert steps is not None
    parts = [part.splitlines() for part in steps.text().split("\n\n")]
    assert tuple(part[0] for part in parts) == SECTIONS
    assert [line.split(". ")[1].split(" (")[0] for line in parts[0][1:]] == [it.text for it in PREFERENCES]
    assert parts[1][1:] == list(steps.reasons)


@pytest.mark.parametrize(
    "refused",
    [
        None,
        answer(lines(), FinishReason.LENGTH),
        answer(lines()[:-1]),
        answer(lines([1.2, 0.2, 0.7, 0.1, 0.3])),
        answer(lines(chance="high")),
        answer([*lines()[:5], "Fitness to preference 1 is splendid.", *lines()[6:]]),
        answer([*lines()[:-2], "The chance is anybody's guess.", lines()[-1]]),
        answer(["Preference 1 shows in Half-Life.", *lines()[1:]]),
        answer([*lines()[:-1], "You may enjoy Half-Life."]),
        answer([*lines()[:-1], "You may enjoy Opus Magnum, write to me@example.org."]),
        answer([*lines()[:-1], "You may enjoy Opus Magnum very very very much."]),
    ],
    ids=[
        "no answer", "cut", "a line short", "fitness above 1", "against its numbers", "no number", "no chance",
        "nothing that was chosen", "another product", "personal", "a loop",
    ],
)  # fmt: skip
def test_an_answer_that_may_not_be_shown_is_no_explanation(refused: Completion | None) -> None:
    assert read_steps(refused, GROUNDS) is None


def test_chances_begin_where_they_should() -> None:
    assert [chance_of(value) for value in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [
        "low", "low", "medium", "medium", "high", "high",
    ]  # fmt: skip


def test_the_template_says_the_same_steps_from_cosines() -> None:
    preferences = (Weighed("quiet puzzles", 0.75), Weighed("space strategy", 0.25))
    keys, product = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.6, 0.8])
    history = np.array([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    fitness = tuple(cosine_fitness(keys, product).tolist())
    steps = template_steps(Grounds(preferences, fitness, HISTORY, keys @ history.T, "Opus Magnum"))
    assert isinstance(steps, Steps)
    assert steps.fitness == pytest.approx((0.6, 0.8))
    assert steps.met == pytest.approx(0.75 * 0.6 + 0.25 * 0.8)
    assert steps.examples[0] == "Preference 1 shows in Tetris and Portal."
    assert steps.chance == chance_of(steps.met)
    assert steps.model == TEMPLATE
    assert tuple(part.splitlines()[0] for part in steps.text().split("\n\n")) == SECTIONS


def test_fitness_lies_between_0_and_1() -> None:
    keys = np.array([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    assert cosine_fitness(keys, np.array([3.0, 0.0])).tolist() == [1, 0, 1, 0]
    assert met((Weighed("a", 1.0),), (0.5,)) == 0.5
