"""The parts of a runtime: products read in parts, and visitors made by the code that makes stored rows."""

from __future__ import annotations

import numpy as np
import pytest

from features.assemble import product_block
from features.settings import HostSettings
from features.store import FeatureRows
from features.types import RatingScale
from models.release import ReleaseStore
from services import sources
from services.schemas import PastRating


def test_a_visitor_without_history_is_cold() -> None:
    assert sources.visitor((), RatingScale()).cold


def test_a_visitor_with_history_looks_like_a_stored_consumer() -> None:
    known = sources.visitor([PastRating(product_id=f"p{n}", rating=1 + n) for n in range(3)], RatingScale())
    assert not known.cold
    assert list(known.block.history_ids[0, :4]) == ["p0", "p1", "p2", ""]
    assert known.block.numeric[0, :2].tolist() == [3.0, 2.0]
    assert (known.block.facet_codes.index == -1).all()


@pytest.mark.slow
def test_products_read_in_parts_are_those_read_at_once(
    tiny_release: HostSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "READ_IDS", 3)
    live = ReleaseStore(tiny_release.releases).live()
    assert live is not None
    product_ids = ["p3", "nothing", *(f"p{n}" for n in range(12)), "nothing"]
    parts = sources.OnlineFeatures(tiny_release, live).products(product_ids)
    whole = product_block(FeatureRows(tiny_release).online_products(product_ids))
    assert list(parts.product_ids) == product_ids
    assert list(parts.attributes) == list(whole.attributes)
    np.testing.assert_array_equal(parts.numeric, whole.numeric)
    for name in ("content", "facet_codes", "facet_weights"):
        found, expected = getattr(parts, name), getattr(whole, name)
        np.testing.assert_array_equal(found.index, expected.index)
        np.testing.assert_array_equal(found.table, expected.table)
