"""Every row is kept or set aside with its reason; what cannot be a dataset is refused."""

from collections import Counter

import pandas as pd
import pytest

from features.errors import InputError
from features.readers.dataset import REPEAT, RawTables, finish, parse_times
from features.types import INTERACTION_COLUMNS, RatingScale

GOOD = {"consumer_id": "c1", "product_id": "p1", "timestamp": "100", "rating": "4", "review": None}


def raw(*changes: dict[str, object], good: int = 20, products: tuple[str, ...] | None = None) -> RawTables:
    """The given rows, then `good` faultless ones."""
    rows = [{**GOOD, **change} for change in changes]
    rows += [{**GOOD, "consumer_id": f"good{number}"} for number in range(good)]
    ids = products or ("p1", "p2", "p3", "p4", "p5", "p6")
    listed = pd.DataFrame({"product_id": ids, "title": "A title", "description": None})
    return RawTables("shop", "rows.csv", pd.DataFrame(rows).assign(row=range(len(rows))), listed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consumer_id": None}, "the consumer id is empty"),
        ({"product_id": " "}, "the product id is empty"),
        ({"product_id": "p99"}, "the product is not in the catalog"),
        ({"timestamp": None}, "the timestamp is missing"),
        ({"timestamp": "last week"}, "the timestamp is neither Unix time nor ISO 8601"),
        ({"rating": None}, "the rating is not a number"),
        ({"rating": "good"}, "the rating is not a number"),
        ({"rating": "6"}, "the rating is outside the scale 1 to 5"),
        ({"rating": "inf"}, "the rating is outside the scale 1 to 5"),
    ],
)
def test_a_faulty_row_is_set_aside_with_its_place_reason_and_content(change: dict[str, object], reason: str):
    dataset = finish(raw({}, change))
    assert len(dataset.interactions) == 21
    (aside,) = dataset.quarantined.to_dict("records")
    assert (aside["file"], aside["row"], aside["reason"]) == ("rows.csv", 1, reason)
    assert '"consumer_id"' in aside["content"]


def test_rows_read_are_rows_kept_plus_rows_set_aside():
    dataset = finish(raw({"rating": "9"}, {"consumer_id": "a"}, {"consumer_id": "a"}))
    assert dataset.n_read == 23 == len(dataset.interactions) + len(dataset.quarantined)
    assert Counter(dataset.quarantined["reason"]) == {REPEAT: 1, "the rating is outside the scale 1 to 5": 1}


def test_of_a_repeated_pair_the_latest_stays_and_of_equal_times_the_last_in_the_file():
    later = finish(raw({"timestamp": "200", "rating": "1"}, {"timestamp": "100", "rating": "2"}, good=0))
    assert later.interactions.frame["row"].tolist() == [0]
    equal = finish(raw({"rating": "1"}, {"rating": "2"}, good=0))
    assert equal.interactions.frame["row"].tolist() == [1]
    assert equal.quarantined["row"].tolist() == [0]


def test_repeats_are_no_fault_so_any_number_of_them_is_accepted():
    assert len(finish(raw(*[{}] * 10, good=0)).interactions) == 1


def test_interactions_stand_in_order_of_time_then_source_row_with_fixed_types():
    times = [{"product_id": f"p{n + 1}", "timestamp": str(t)} for n, t in enumerate([30, 10, 20, 10])]
    frame = finish(raw(*times, good=0)).interactions.frame
    assert tuple(frame.columns) == INTERACTION_COLUMNS
    assert frame["row"].tolist() == [1, 3, 2, 0]
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert frame["rating"].dtype == float
    assert frame["consumer_id"].map(type).eq(str).all()


def test_reviews_are_text_or_none():
    frame = finish(raw({"review": "  "}, {"product_id": "p2", "review": "Fine."}, good=0)).interactions.frame
    assert frame["review"].tolist() == [None, "Fine."]


def test_more_than_a_fifth_of_faulty_rows_is_refused_with_the_commonest_reasons():
    with pytest.raises(InputError) as refusal:
        finish(raw(*[{"rating": "80"}] * 4, *[{"timestamp": None}] * 2, good=10))
    message = str(refusal.value)
    assert "6 of 16 rows of rows.csv" in message
    assert "outside the scale 1 to 5: 4 rows (first: row 0)" in message
    assert message.index("outside the scale") < message.index("timestamp is missing: 2 rows (first: row 4)")


def test_no_rows_and_repeated_catalog_ids_are_refused():
    empty = raw(good=1)
    with pytest.raises(InputError, match=r"rows\.csv holds no interactions"):
        finish(RawTables("shop", "rows.csv", empty.interactions[:0], empty.products))
    with pytest.raises(InputError, match="more than once, for instance 'p1'"):
        finish(raw(products=("p1", "p1")))


def test_without_a_catalog_products_are_known_by_their_ids():
    given = raw({"product_id": "b"}, {"product_id": "a"}, good=0)
    catalog = finish(RawTables("shop", "rows.csv", given.interactions, None)).catalog
    assert catalog.products["title"].tolist() == ["a", "b"]


def test_whole_numbers_with_gaps_stay_whole_as_ids():
    given = raw({}, {}, good=8).interactions
    given["consumer_id"] = [7.0, None, *range(8)]
    dataset = finish(RawTables("shop", "rows.csv", given, None))
    assert dataset.interactions.frame["consumer_id"].tolist()[0] == "0"
    assert dataset.quarantined["reason"].tolist() == [REPEAT, "the consumer id is empty"]


def test_another_scale_is_respected():
    given = raw({"rating": "9"}, good=0)
    dataset = finish(RawTables("shop", "f", given.interactions, None, scale=RatingScale(0, 10, 7)))
    assert dataset.interactions.frame["rating"].tolist() == [9.0]


@pytest.mark.parametrize(
    "written",
    [881250949, "881250949", "881250949000", 881250949000000, "1997-12-04T15:55:49Z", "1997-12-04 16:55:49+01:00"],
)
def test_times_in_any_common_form_are_the_same_moment(written: object):
    expected = pd.Timestamp("1997-12-04 15:55:49", tz="UTC")
    assert parse_times(pd.Series([written], dtype=object)).tolist() == [expected]


def test_forms_of_time_may_mix_and_real_times_are_taken_as_they_are():
    mixed = parse_times(pd.Series(["0", "1970-01-01", "soon", None], dtype=object))
    assert mixed.isna().tolist() == [False, False, True, True]
    assert mixed[0] == mixed[1]
    dates = parse_times(pd.Series([20240131, 20241399]))
    assert dates.tolist() == [pd.Timestamp("2024-01-31", tz="UTC"), pd.NaT]
    real = pd.Series(pd.to_datetime(["2024-05-01"]))
    assert parse_times(real).dt.tz is not None
