"""A training row sees all of train but itself, whatever the times; a held-out row sees all of train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.as_of import TextTables
from features.assemble import joined_batch
from features.batch import CODE_WIDTH, N_FACETS, FeatureBatch
from features.errors import InputError
from features.leave_one_out import leave_one_out
from features.rows import VIEWS, View
from features.states import EPOCH
from features.types import Catalog, Interactions, RatingScale, Snapshot

START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")


def empty(view: View) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(dtype=object) for name in view.schema.names})
    return frame.astype({"event_timestamp": "datetime64[us, UTC]"})


def no_texts() -> TextTables:
    _, _, content, consumer_facets, product_facets, pair_codes = map(empty, VIEWS)
    return TextTables(consumer_facets, product_facets, content, pair_codes)


def facets_of(key: str, entity: str) -> pd.DataFrame:
    codes = [np.ones(2 * N_FACETS * CODE_WIDTH, np.float32)]
    row = {key: [entity], "event_timestamp": [EPOCH], "version": ["v"], "codes": codes}
    return pd.DataFrame(row | {"weights": [np.ones(2 * N_FACETS, np.float32)]})


def world(*events: tuple[str, str, float]) -> Snapshot:
    """Events as (consumer, product, stars); row numbers from 0, an hour apart."""
    frame = pd.DataFrame(events, columns=["consumer_id", "product_id", "rating"])
    times = START + pd.to_timedelta(np.arange(len(frame)), "h")
    frame = frame.assign(row=np.arange(len(frame)), timestamp=times.as_unit("us"), review=None)
    products = pd.DataFrame({"product_id": ["a", "b", "c", "z"], "title": "", "description": ""})
    attributes = pd.DataFrame([("a", "genre", "Drama")], columns=["product_id", "name", "value"])
    as_of = (START + pd.Timedelta(days=9)).to_pydatetime()
    return Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), as_of)


def features(snapshot: Snapshot, rows: pd.DataFrame | None = None, **options: float) -> FeatureBatch:
    rows = snapshot.interactions.frame if rows is None else rows
    return joined_batch(leave_one_out(snapshot, rows, no_texts(), np.zeros(len(rows), bool), **options))


def stranger(consumer: str, product: str) -> pd.DataFrame:
    return pd.DataFrame({"row": [99], "consumer_id": [consumer], "product_id": [product]})


def content(batch: FeatureBatch, row: int) -> tuple[object, ...]:
    """Everything a model sees of a row, to the byte."""
    who, what = batch.consumers, batch.products
    numbers = (who.numeric[row], who.history_ratings[row], what.numeric[row], batch.as_of[row])
    return (*(part.tobytes() for part in numbers), tuple(who.history_ids[row]), what.attributes[row])


def with_rating(snapshot: Snapshot, row: int, rating: float) -> Snapshot:
    frame = snapshot.interactions.frame
    changed = frame.assign(rating=frame["rating"].where(frame["row"] != row, rating))
    return replace(snapshot, interactions=Interactions(changed))


RATED = (("u", "a", 5.0), ("u", "b", 3.0), ("u", "c", 1.0), ("v", "a", 4.0))


def test_a_training_row_by_hand() -> None:
    batch = features(world(*RATED))
    who, what = batch.consumers, batch.products
    assert who.numeric[0].tolist()[:4] == pytest.approx([2, 2.0, np.std([3, 1], ddof=1), 0.0])
    assert np.isnan(who.numeric[0][4])  # days_active: there is no time
    assert dict(zip(who.history_ids[0], who.history_ratings[0], strict=True)).items() >= {("b", 3.0), ("c", 1.0)}
    assert [text for text in who.history_ids[0] if text] in (["b", "c"], ["c", "b"])
    assert what.numeric[0].tolist()[:2] == [1, 4.0]
    assert np.isnan(what.numeric[0][2])  # one rating has no deviation
    assert what.numeric[0].tolist()[3:] == [1.0, 4.0]  # v's only rating is liked, and v's mean
    assert what.attributes[0] == ("genre=Drama",)


def test_the_only_event_of_its_consumer_and_product_shows_nothing() -> None:
    batch = features(world(*RATED, ("w", "z", 5.0)))
    assert np.isnan(batch.consumers.numeric[4]).all()
    assert set(batch.consumers.history_ids[4]) == {""}
    assert batch.products.numeric[4][0] == 0
    assert np.isnan(batch.products.numeric[4][1:]).all()


def test_a_held_out_row_sees_all_of_train() -> None:
    batch = features(world(*RATED), stranger("v", "b"))
    assert batch.consumers.numeric[0].tolist()[:2] == [1, 4.0]
    assert batch.products.numeric[0].tolist()[:2] == [1, 3.0]
    assert batch.products.numeric[0][4] == 3.0  # u's mean, this rating included
    assert batch.consumers.history_ids[0][0] == "a"


def test_strangers_are_absent_and_unrated_products_have_attributes_alone() -> None:
    batch = features(world(*RATED), stranger("new", "z"))
    assert np.isnan(batch.consumers.numeric).all()
    assert batch.products.numeric[0][0] == 0
    unlisted = features(world(*RATED), stranger("u", "nowhere"))
    assert np.isnan(unlisted.products.numeric).all()


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_rows_own_rating_leaves_no_trace_in_its_features(snapshot: Snapshot, share: float) -> None:
    before = features(snapshot, share=share)
    for place, row in enumerate(snapshot.interactions.frame["row"]):
        for rating in (3.3, np.nan):
            after = features(with_rating(snapshot, row, rating), share=share)
            assert content(after, place) == content(before, place)


def test_times_are_not_used(snapshot: Snapshot) -> None:
    frame = snapshot.interactions.frame
    moved = replace(snapshot, interactions=Interactions(frame.assign(timestamp=frame["timestamp"].iloc[::-1].array)))
    before, after = features(snapshot), features(moved)
    assert all(content(before, n) == content(after, n) for n in range(len(before)))
    assert len(np.unique(before.as_of)) == 1


def test_another_seed_is_another_order_of_the_same_events(snapshot: Snapshot) -> None:
    one, other = features(snapshot, seed=0), features(snapshot, seed=1)
    assert (one.consumers.history_ids != other.consumers.history_ids).any()
    assert all(set(a) == set(b) for a, b in zip(one.consumers.history_ids, other.consumers.history_ids, strict=True))
    assert np.array_equal(one.consumers.numeric, other.consumers.numeric, equal_nan=True)


def test_a_share_shows_training_rows_fewer_events(snapshot: Snapshot) -> None:
    whole, half = features(snapshot), features(snapshot, share=0.5)
    assert np.array_equal(half.consumers.numeric[:, 0], np.ceil(whole.consumers.numeric[:, 0] / 2), equal_nan=True)
    held_out = stranger("c0", "p1")
    assert content(features(snapshot, held_out, share=0.5), 0) == content(features(snapshot, held_out), 0)
    with pytest.raises(InputError, match="share of 0"):
        features(snapshot, share=0.0)


def test_hidden_rows_see_no_facet() -> None:
    snapshot = world(*RATED)
    texts = replace(
        no_texts(), consumer_facets=facets_of("consumer_id", "u"), product_facets=facets_of("product_id", "a")
    )
    hidden = np.array([True, False, False, False])
    batch = joined_batch(leave_one_out(snapshot, snapshot.interactions.frame, texts, hidden))
    assert batch.consumers.facet_codes.index.tolist() == [-1, 0, 0, -1]
    assert batch.products.facet_codes.index.tolist() == [-1, -1, -1, 0]
