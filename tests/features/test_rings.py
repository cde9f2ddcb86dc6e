"""An arc is all of an entity's events but the row itself, and its sums are exact."""

from __future__ import annotations

import numpy as np
import pytest

from features.rings import Arcs, Rings, rounded

ENTITY, ROW = np.array([0, 1, 0, 0, 1, 0]), np.array([10, 11, 12, 13, 14, 15])
VALUES = np.array([1.0, 10.0, 2.0, 4.0, 20.0, 8.0])
UNKNOWN = -1


def seen(entity: int, own: int, share: float = 1.0) -> Arcs:
    row = ROW[own] if own >= 0 else 99
    return Rings(ENTITY, 3, ROW, seed=0).arcs(np.array([entity]), np.array([own]), np.array([row]), share)


@pytest.mark.parametrize("own", [0, 2, 3, 5])
def test_a_training_row_sees_the_others_of_its_entity(own: int) -> None:
    arcs = seen(0, own)
    assert sorted(arcs.first_events(9)[0]) == sorted([*({0, 2, 3, 5} - {own}), *[UNKNOWN] * 6])
    assert arcs.sums(VALUES) == [15.0 - VALUES[own]]


def test_a_held_out_row_sees_all_of_its_entity() -> None:
    assert sorted(seen(1, UNKNOWN).first_events(2)[0]) == [1, 4]
    assert seen(1, UNKNOWN).sums(VALUES) == [30.0]


@pytest.mark.parametrize("entity", [UNKNOWN, 2])
def test_an_entity_that_is_unknown_or_has_no_events_shows_nothing(entity: int) -> None:
    assert seen(entity, UNKNOWN).first_events(2).tolist() == [[UNKNOWN, UNKNOWN]]
    assert seen(entity, UNKNOWN).sums(VALUES) == [0.0]


@pytest.mark.parametrize("own", [0, 2, 3, 5])
def test_half_of_the_others_are_seen_and_summed(own: int) -> None:
    arcs = seen(0, own, share=0.5)
    events = arcs.first_events(9)[0]
    assert len(set(events) - {UNKNOWN, own}) == 2  # of 3, rounded up
    assert arcs.sums(VALUES) == [VALUES[events[events >= 0]].sum()]


def test_rounded_values_sum_exactly() -> None:
    values = rounded(np.random.default_rng(0).normal(size=1000), 24)
    order = np.random.default_rng(1).permutation(1000)
    assert values.sum() == values[order].sum() == np.cumsum(values)[-1]
    assert np.abs(values - np.random.default_rng(0).normal(size=1000)).max() <= 2.0**-25
