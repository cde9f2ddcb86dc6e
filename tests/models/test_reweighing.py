"""A facet with another weight counts as if it had been stored so; an unknown one is an error."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from features.batch import CODE_WIDTH, N_FACETS, ConsumerBlock, Indexed
from features.errors import InputError
from features.types import EntityKind, Facet, Stance
from models.explanations.reweighing import reweighed
from models.testing import plain_batch

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def facet(facet_id: str, stance: Stance, rank: int) -> Facet:
    return Facet(
        facet_id=facet_id,
        entity_kind=EntityKind.CONSUMER,
        entity_id="c1",
        stance=stance,
        rank=rank,
        text=f"Text of {facet_id}.",
        weight=0.5,
        fact_ids=(f"fact of {facet_id}",),
        evidence_time=NOON,
        request_key="k",
        input_hash="h",
        model="m",
    )


FACETS = [facet("b", Stance.FOR, 1), facet("c", Stance.AGAINST, 0), facet("a", Stance.FOR, 0)]


def stored() -> ConsumerBlock:
    block = plain_batch(np.array(["c1"], object), np.array(["p1"], object)).consumers
    codes, weights = np.zeros((2, 2, N_FACETS, CODE_WIDTH), np.float32), np.zeros((2, 2, N_FACETS), np.float32)
    codes[1, 0, 0], codes[1, 0, 1], codes[1, 1, 0] = 1, 2, 3
    weights[1, 0, :2], weights[1, 1, 0] = 0.5, 0.5
    at = np.array([1], np.int32)
    return replace(block, facet_codes=Indexed(codes, at), facet_weights=Indexed(weights, at))


def values(indexed: Indexed) -> np.ndarray:
    return indexed.table[indexed.index[0]]


def test_a_weight_takes_the_place_of_the_stored_one_and_nothing_else_changes() -> None:
    before = stored()
    after = reweighed(before, FACETS, {"b": 0.9})
    weights = values(after.facet_weights)
    assert weights[0, :3].tolist() == pytest.approx([0.5, 0.9, 0])
    assert weights[1, :2].tolist() == [0.5, 0]
    assert np.array_equal(values(after.facet_codes), values(before.facet_codes))
    assert values(before.facet_weights)[0, 1] == 0.5


def test_a_facet_without_weight_is_as_if_it_had_never_been_known() -> None:
    after = reweighed(stored(), FACETS, {"a": 0.0, "c": 0.0})
    assert values(after.facet_weights)[:, 0].tolist() == [0, 0]
    assert not values(after.facet_codes)[:, 0].any()
    assert values(after.facet_codes)[0, 1].tolist() == [2] * CODE_WIDTH


def test_a_facet_of_somebody_else_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no facet 'z'") as raised:
        reweighed(stored(), FACETS, {"z": 1.0})
    assert "a, b, c" in str(raised.value)


def test_facets_that_are_no_features_yet_change_nothing() -> None:
    absent = plain_batch(np.array(["c1"], object), np.array(["p1"], object)).consumers
    assert reweighed(absent, FACETS, {"a": 0.0}) is absent
