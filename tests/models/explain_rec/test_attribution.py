"""Attributions: by hand, grouped, and in words."""

from __future__ import annotations

import pytest
import torch

from models.explain_rec.attribution import PRIOR, RATINGS, WHOLE, Attribution, attributed
from models.explain_rec.inputs import Shelf

CELLS = [("genre=a", "p1", 0.3), ("genre=a", "p2", 0.1), ("genre=a", "p3", -0.2), (WHOLE, "p1", 0.2)]
TITLES = {"p1": "First", "p2": "Second"}


def test_item_4_reasons_by_hand() -> None:
    made = attributed(CELLS, {RATINGS: -0.2}, liked=True)
    assert [(it.attribute, it.evidence, it.polarity) for it in made.reasons] == [
        ("genre=a", ("p1", "p2"), 1),
        (RATINGS, (), -1),
        ("genre=a", ("p3",), -1),
        (WHOLE, ("p1",), 1),
    ]
    assert [it.weight for it in made.reasons] == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert made.leaning == pytest.approx(0.2)
    assert made.evidence == (("p1", 0.5), ("p2", 0.1), ("p3", -0.2))


def test_item_5_a_contradiction_is_seen() -> None:
    assert attributed(CELLS, {RATINGS: -0.2, PRIOR: 0.0}, liked=True).agrees
    assert not attributed(CELLS, {RATINGS: -0.2, PRIOR: 0.0}, liked=False).agrees


def test_without_any_evidence_ratings_carry_all_weight() -> None:
    (only,) = attributed([], {RATINGS: 0.0}, liked=False).reasons
    assert (only.attribute, only.weight, only.polarity) == (RATINGS, 1.0, -1)


def test_a_sentence_names_the_decided_side_and_what_has_a_title() -> None:
    made = attributed(CELLS, {RATINGS: -0.2, PRIOR: 0.0}, liked=True)
    assert made.text(TITLES) == (
        "You may like it: you liked products with genre a (First, Second); you liked products like it (First)."
    )
    against = attributed(CELLS, {RATINGS: -0.2, PRIOR: 0.0}, liked=False)
    assert against.text(TITLES) == (
        "You may not like it: ratings speak against it; you did not like products with genre a."
    )
    stranger = attributed([], {RATINGS: -0.1, PRIOR: 0.3}, liked=True)
    assert stranger.text(TITLES) == "You may like it: consumers like you prefer such products."
    nothing = attributed([("genre=a", "p1", -1.0)], {RATINGS: -1.0}, liked=True)
    assert nothing.text(TITLES) == "You may like it: nothing in your history speaks of it."


def test_evidence_adds_its_share_times_what_was_thought_of_it() -> None:
    torch.manual_seed(0)
    module = Attribution(4, 3)
    known = torch.tensor([[True, True, False]])
    shared = torch.tensor([[[True], [False], [True]]])
    target, events, attributes = torch.randn(1, 4), torch.randn(1, 3, 4), torch.tensor([[2]])
    added = module(target, events, torch.tensor([[10, 0, 10]]), known, attributes, shared).added.detach()
    assert added.shape == (1, 3, 2)
    assert (added[0, 0] > 0).all()  # liked: as a whole and through the attribute
    assert added[0, 1, 1] < 0  # disliked
    assert added[0, 1, 0] == 0  # without the attribute
    assert (added[0, 2] == 0).all()  # not known
    assert float(added.abs().sum()) <= float(module.strength.detach())
    empty = module(target, events, torch.zeros(1, 3, dtype=torch.int64), known & False, attributes, shared)
    assert float(empty.total.detach()) == 0


def test_shared_attributes_by_hand() -> None:
    shelf = Shelf(n_products=4, n_attributes=2, visual_width=0)
    shelf.attributes[1:] = torch.tensor([[1, 2], [2, 0], [0, 0]])
    shared = shelf.share(torch.tensor([[1, 2, 3, 0]]), torch.tensor([[2, 1, 0, 9]]))
    assert shared[0].int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
