"""A facet with another weight or other words counts as if it had been stored so, and new ones find their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import CODE_WIDTH, N_FACETS, ConsumerBlock, Indexed
from features.errors import InputError
from features.types import EntityKind, Facet, Stance
from models.explanations.codes import Coded
from models.explanations.what_if import MAX_WORDS, OWN_WORDS, FacetChange, NewFacet, WhatIf, imagine
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


def absent() -> ConsumerBlock:
    return plain_batch(np.array(["c1"], object), np.array(["p1"], object)).consumers


def length_codes(texts: Sequence[str]) -> Coded:
    """The code of a text is its length, everywhere."""
    lengths = np.array([len(text) for text in texts], np.float32)[:, None]
    return Coded(np.repeat(lengths, 2, axis=1), np.repeat(lengths, CODE_WIDTH, axis=1))


def never(texts: Sequence[str]) -> Coded:
    raise AssertionError(f"asked for {texts}")


def asked(*wishes: FacetChange | NewFacet) -> WhatIf:
    changes = [it for it in wishes if isinstance(it, FacetChange)]
    return imagine("c1", FACETS, changes, [it for it in wishes if isinstance(it, NewFacet)], length_codes)


def weighed(facet_id: str, weight: float) -> FacetChange:
    return FacetChange(facet_id=facet_id, weight=weight)


def test_a_weight_takes_the_place_of_the_stored_one_and_nothing_else_changes() -> None:
    before = stored()
    after = imagine("c1", FACETS, [weighed("b", 0.9)], [], never).features(before)
    weights = values(after.facet_weights)
    assert weights[0, :3].tolist() == pytest.approx([0.5, 0.9, 0])
    assert weights[1, :2].tolist() == [0.5, 0]
    assert np.array_equal(values(after.facet_codes), values(before.facet_codes))
    assert values(before.facet_weights)[0, 1] == 0.5


def test_a_facet_without_weight_is_as_if_it_had_never_been_known() -> None:
    without = asked(weighed("a", 0.0), weighed("c", 0.0))
    after = without.features(stored())
    assert values(after.facet_weights)[:, 0].tolist() == [0, 0]
    assert not values(after.facet_codes)[:, 0].any()
    assert values(after.facet_codes)[0, 1].tolist() == [2] * CODE_WIDTH
    assert [it.facet_id for it in without.counted] == ["b"]
    assert without.unfounded == {"fact of a", "fact of c"}


def test_a_fact_stays_as_long_as_a_facet_rests_on_it() -> None:
    both = [FACETS[0], replace(FACETS[2], fact_ids=("fact of a", "fact of b"))]
    assert imagine("c1", both, [weighed("a", 0)], [], never).unfounded == {"fact of a"}


def test_other_words_have_their_own_code_in_the_same_place_and_rest_on_nothing() -> None:
    reworded = asked(FacetChange(facet_id="b", text="Seven !"))
    after = reworded.features(stored())
    assert values(after.facet_codes)[0, :, 0].tolist() == [1, 7, 0, 0]
    assert values(after.facet_weights)[0].tolist() == [0.5, 0.5, 0, 0]
    (changed,) = (it for it in reworded.facets if it.facet_id == "b")
    assert (changed.text, changed.model, changed.fact_ids) == ("Seven !", OWN_WORDS, ())
    assert reworded.unfounded == {"fact of b"}


def test_the_same_words_are_no_change() -> None:
    same = imagine("c1", FACETS, [FacetChange(facet_id="b", text="Text of b.")], [], never)
    block = stored()
    assert same.features(block) is block
    assert same.unfounded == frozenset()


def test_a_new_facet_takes_the_first_free_place_of_its_side() -> None:
    wanted = asked(
        NewFacet(stance=Stance.FOR, text="Five.", weight=0.25), NewFacet(stance=Stance.AGAINST, text="Six ...")
    )
    after = wanted.features(stored())
    assert values(after.facet_codes)[:, :, 0].tolist() == [[1, 2, 5, 0], [3, 7, 0, 0]]
    assert values(after.facet_weights).tolist() == [[0.5, 0.5, 0.25, 0], [0.5, 1, 0, 0]]


def test_a_new_facet_takes_the_place_of_one_that_is_left_out() -> None:
    wanted = asked(weighed("a", 0), NewFacet(stance=Stance.FOR, text="Five."))
    assert values(wanted.features(stored()).facet_codes)[0, :, 0].tolist() == [5, 2, 0, 0]
    assert wanted.unfounded == {"fact of a"}


def test_a_side_has_so_many_places_and_an_error_says_how_to_make_room() -> None:
    new = [NewFacet(stance=Stance.FOR, text=f"New {n}.") for n in range(N_FACETS - 1)]
    with pytest.raises(InputError, match="no place for the new facet 3") as raised:
        asked(*new)
    assert f"{N_FACETS} of each stance count." in str(raised.value)
    assert len(asked(weighed("b", 0), *new).counted) == N_FACETS + 1


def test_a_facet_of_somebody_else_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no facet 'z'") as raised:
        asked(weighed("z", 1.0))
    assert "a, b, c" in str(raised.value)


def test_facets_that_are_no_features_yet_do_not_become_some_but_own_words_do() -> None:
    block = absent()
    assert asked(weighed("a", 0.0)).features(block) is block
    after = asked(weighed("a", 0.25), FacetChange(facet_id="b", text="Seven !")).features(block)
    assert values(after.facet_codes)[0, :, 0].tolist() == [0, 7, 0, 0]
    assert values(after.facet_weights)[0].tolist() == [0, 0.5, 0, 0]


@pytest.mark.parametrize("text", ["", "   ", "x" * (MAX_WORDS + 1)])
def test_words_are_some_and_not_too_many(text: str) -> None:
    with pytest.raises(ValidationError):
        NewFacet(stance=Stance.FOR, text=text)
    with pytest.raises(ValidationError):
        FacetChange(facet_id="a", text=text)
